#include "base/rpc/connection.h"

#include <array>
#include <utility>

#include <boost/asio/post.hpp>
#include <fmt/format.h>
#include <string.h>

#include "base/core/secret_bytes.h"

namespace credence {
namespace {

/// What is put together before it is given to the socket.
constexpr std::size_t kEnoughToSend = std::size_t{64} << 10;
constexpr std::size_t kReadBytes = std::size_t{16} << 10;
/// Reads in one turn, so that a large answer does not keep the thread.
constexpr int kReadsInOneTurn = 16;

}  // namespace

RpcConnection::RpcConnection(Socket socket,
                             std::unique_ptr<h2::Transport> transport,
                             const Names& names)
    : address_(names.address),
      socket_(std::move(socket)),
      transport_(std::move(transport)),
      session_(names.scheme, names.authority) {}

RpcConnection::~RpcConnection() {
  WipeString(pending_);
}

void RpcConnection::Start() {
  // A client's TLS begins with words of its own, and a server without TLS waits for ours.
  OnReadable();
}

Task<Result<void>> RpcConnection::Opened(Deadline deadline) {
  const auto self = shared_from_this();
  const bool decided = co_await opened_or_closed_->Wait(deadline);
  if (closed_) {
    co_return *closed_;
  }
  if (!decided) {
    co_return Error(Code::kDeadlineExceeded, fmt::format("{} does not answer", address_));
  }
  co_return Ok();
}

bool RpcConnection::TakesCalls() const {
  return !closed_ && session_.opened() && session_.TakesCalls();
}

void RpcConnection::Close(Error error) {
  if (closed_) {
    return;
  }
  closed_ = std::move(error);
  transport_.reset();
  boost::system::error_code ignored;
  socket_.close(ignored);
  WipeString(pending_);
  session_.Fail(*closed_);
  opened_or_closed_->Set();
}

void RpcConnection::Lose(const std::string& why) {
  const std::string& said = session_.why_done();
  const std::string_view what =
      session_.opened() ? "connection to {} is lost: {}" : "cannot connect to {}: {}";
  Close(Error(Code::kUnavailable,
              fmt::format(fmt::runtime(what), address_, said.empty() ? why : said)));
}

void RpcConnection::AwaitReadable() {
  const bool write = transport_->ReadWaitsForWrite();
  socket_.async_wait(write ? Socket::wait_write : Socket::wait_read,
                     [weak = weak_from_this()](boost::system::error_code failed) {
                       const auto self = weak.lock();
                       if (self && !failed) {
                         self->OnReadable();
                       }
                     });
}

void RpcConnection::OnReadable() {
  const auto self = shared_from_this();
  for (int reads = 0; reads < kReadsInOneTurn; ++reads) {
    if (!ReadOnce()) {
      if (!closed_) {
        AwaitReadable();
      }
      return;
    }
  }
  asio::post(socket_.get_executor(), [weak = weak_from_this()] {
    if (const auto again = weak.lock(); again && !again->closed_) {
      again->OnReadable();
    }
  });
}

bool RpcConnection::ReadOnce() {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): what is read is written first
  std::array<std::uint8_t, kReadBytes> buffer;
  const auto moved = transport_->Read(buffer);
  if (moved.state == h2::Transport::State::kClosed) {
    Lose(transport_->why_closed());
    return false;
  }
  Result<void> sound = Ok();
  if (moved.bytes > 0) {
    working_ = true;
    sound = session_.Receive(std::span(buffer).first(moved.bytes));
    working_ = false;
    // It may have held tokens.
    explicit_bzero(buffer.data(), moved.bytes);
  }
  Flush();
  if (!sound.ok()) {
    Lose(sound.error().message());
  }
  if (!closed_ && session_.opened()) {
    opened_or_closed_->Set();
  }
  return !closed_ && moved.bytes > 0;
}

void RpcConnection::Flush() {
  if (closed_ || working_ || awaiting_writable_ || !transport_->TakesBytes()) {
    return;  // whoever is at work flushes
  }
  const auto self = shared_from_this();
  working_ = true;
  Result<void> filled = Ok();
  std::optional<std::string> broken;
  while (!broken) {
    if (pending_.empty()) {
      filled = session_.Send(pending_, kEnoughToSend);
      if (!filled.ok()) {
        broken = filled.error().message();
        break;
      }
    }
    if (pending_.empty()) {
      break;
    }
    const void* bytes = pending_.data();
    const auto moved = transport_->Write(
        {static_cast<const std::uint8_t*>(bytes) + pending_sent_, pending_.size() - pending_sent_});
    if (moved.state == h2::Transport::State::kClosed) {
      broken = transport_->why_closed();
      break;
    }
    if (moved.bytes == 0) {
      break;
    }
    pending_sent_ += moved.bytes;
    if (pending_sent_ == pending_.size()) {
      WipeString(pending_);
      pending_ = {};
      pending_sent_ = 0;
    }
  }
  working_ = false;
  if (broken) {
    Lose(*broken);
  } else if (!pending_.empty()) {
    AwaitWritable();
  } else if (session_.Done()) {
    Lose("both sides are done");
  }
}

void RpcConnection::AwaitWritable() {
  awaiting_writable_ = true;
  socket_.async_wait(Socket::wait_write,
                     [weak = weak_from_this()](boost::system::error_code failed) {
                       if (const auto self = weak.lock()) {
                         self->awaiting_writable_ = false;
                         if (!failed) {
                           self->Flush();
                         }
                       }
                     });
}

Result<std::int32_t> RpcConnection::Open(const std::string& path,
                                         std::chrono::nanoseconds timeout,
                                         const RpcMetadata& metadata,
                                         std::shared_ptr<ClientStream> stream) {
  auto id = session_.Open(path, timeout, metadata, std::move(stream));
  Flush();
  return id;
}

void RpcConnection::Resume(std::int32_t id) {
  session_.Resume(id);
  Flush();
}

void RpcConnection::OnTaken(std::int32_t id) {
  session_.OnTaken(id);
  Flush();
}

void RpcConnection::Release(std::int32_t id) {
  session_.Release(id);
  Flush();
}

void RpcConnection::Cancel(std::int32_t id) {
  session_.Cancel(id);
  Flush();
}

}  // namespace credence
