#include "base/h2/connection.h"

#include <cstring>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <string.h>

#include "base/core/check.h"

namespace credence::h2 {
namespace {

/// A client that reads nothing for this long while something waits for it is cut.
constexpr std::chrono::milliseconds kWriteTimeout{60'000};
/// Between the notice of GOAWAY and its last word: calls on their way arrive.
constexpr std::chrono::milliseconds kGoawayPause{200};
/// With more unsent frames than this we stop reading: answers to a client that does not read must
/// not pile up.
constexpr std::size_t kMostBacklog = 256;
/// Writes in one turn, so that a fast reader of a large answer does not keep the thread.
constexpr int kWritesPerTurn = 4;
/// One to start a call's handler and one for the handler: an answer that waits for nothing goes out
/// in one write with the acknowledgements of what came with its request.
constexpr int kTurnsToAnAnswer = 2;

using Socket = asio::posix::stream_descriptor;

}  // namespace

Connection::Connection(ServerContext& server,
                       TaskGroup& tasks,
                       UniqueFd socket,
                       std::unique_ptr<Transport> transport,
                       Session::Peer peer,
                       Holding holding,
                       std::function<void(Connection&)> on_closed)
    : server_(server),
      tasks_(tasks),
      number_(peer.connection),
      party_(peer.party),
      holding_(std::move(holding)),
      on_closed_(std::move(on_closed)),
      socket_(server.executor),
      transport_(std::move(transport)),
      session_(server, std::move(peer), [this] { FlushSoon(); }),
      timer_(server.timers),
      last_active_(server.clock.SteadyNow()),
      last_call_(last_active_) {
  boost::system::error_code failed;
  socket_.assign(socket.get(), failed);
  if (!failed) {
    socket.release();
  }
}

Connection::~Connection() {
  CREDENCE_CHECK(!open_);
}

void Connection::Start() {
  if (!socket_.is_open()) {
    Close();
    return;
  }
  SetTimer(server_.options.preface_timeout);
  tasks_.Spawn("h2 connection", ReadUntilClosed(shared_from_this()));
}

void Connection::FlushAndClose() {
  Flush();
  Close();
}

void Connection::Close() {
  if (!std::exchange(open_, false)) {
    return;
  }
  const auto self = shared_from_this();
  transport_.reset();
  boost::system::error_code ignored;
  socket_.close(ignored);
  timer_.Cancel();
  pending_ = {};
  session_.Close();
  on_closed_(*this);
}

Task<void> Connection::ReadUntilClosed(std::shared_ptr<Connection> self) {
  // Most clients have written by now: our SETTINGS leave with the acknowledgement of theirs.
  bool first = true;
  while (self->open_) {
    const bool clogged = self->Clogged();
    if (!std::exchange(first, false) && (clogged || !self->transport_->HoldsInput())) {
      const bool wait_for_write = clogged || self->transport_->ReadWaitsForWrite();
      boost::system::error_code failed;
      co_await self->socket_.async_wait(wait_for_write ? Socket::wait_write : Socket::wait_read,
                                        asio::redirect_error(asio::use_awaitable, failed));
      if (failed) {
        break;
      }
    }
    if (clogged) {
      self->Flush();
    } else {
      if (!self->server_.reads.TakesNow()) {
        co_await self->server_.reads.Wait(self->party_, self->number_);
      }
      self->ReadOnce();
    }
  }
  self->Close();
}

bool Connection::Clogged() const {
  return !pending_.empty() || session_.Backlog() > kMostBacklog;
}

void Connection::ReadOnce() {
  if (!open_ || Clogged()) {
    return;
  }
  SecretBytes& buffer = server_.read_buffer;
  const auto moved = transport_->Read({buffer.data(), buffer.size()});
  if (moved.state == Transport::State::kClosed) {
    Close();
    return;
  }
  if (moved.bytes == 0) {
    Flush();  // a handshake may just have ended
    return;
  }
  last_active_ = server_.clock.SteadyNow();
  const auto bytes = buffer.bytes().first(moved.bytes);
  reading_ = true;
  NoteOpenCalls();
  const bool sound = session_.Receive(bytes);
  NoteOpenCalls();
  reading_ = false;
  explicit_bzero(buffer.data(), bytes.size());
  if (sound && session_.started_call()) {
    FlushAfter(kTurnsToAnAnswer);
  } else {
    Flush();
  }
  if (!sound) {
    Close();
  } else if (open_ && session_.preface_done() && !std::exchange(preface_seen_, true)) {
    SetTimer(server_.options.idle_timeout);
  }
  if (const auto due = HeaderBlockDue(); open_ && due) {
    timer_.Set(*due, [this] { OnTimer(); });
  }
}

void Connection::FlushSoon() {
  // After reading, a flush follows anyway.
  if (!reading_) {
    FlushAfter(1);
  }
}

void Connection::FlushAfter(int turns) {
  if (open_ && !std::exchange(flush_posted_, true)) {
    PostFlush(turns);
  }
}

void Connection::PostFlush(int turns) {
  asio::post(server_.executor, [self = shared_from_this(), turns] {
    if (turns > 1) {
      self->PostFlush(turns - 1);
      return;
    }
    self->flush_posted_ = false;
    self->Flush();
  });
}

void Connection::Flush() {
  if (open_ && !transport_->TakesBytes()) {
    return;  // reading flushes
  }
  for (int round = 0; round < kWritesPerTurn; ++round) {
    if (!open_ || !WritePending()) {
      return;
    }
    NoteOpenCalls();
    SecretBytes& buffer = server_.write_buffer;
    const auto filled = session_.Send({buffer.data(), buffer.size()});
    if (!filled || (*filled == 0 && session_.Done())) {
      Close();
      return;
    }
    if (*filled == 0) {
      return;
    }
    const auto bytes = buffer.bytes().first(*filled);
    const std::size_t sent = Write(bytes);
    if (open_ && sent < bytes.size()) {
      KeepPending(bytes.subspan(sent));
    }
    explicit_bzero(buffer.data(), bytes.size());
  }
  FlushSoon();
}

bool Connection::WritePending() {
  if (pending_.empty()) {
    return true;
  }
  pending_sent_ += Write(pending_.bytes().subspan(pending_sent_));
  if (!open_) {
    return false;
  }
  if (pending_sent_ < pending_.size()) {
    AwaitWritable();
    return false;
  }
  holding_.GiveBackUnread(pending_.size());
  pending_ = {};
  return true;
}

void Connection::KeepPending(std::span<const std::uint8_t> bytes) {
  if (!holding_.Take({.unread = bytes.size()})) {
    Close();
    return;
  }
  pending_ = SecretBytes(bytes.size());
  std::memcpy(pending_.data(), bytes.data(), bytes.size());
  pending_sent_ = 0;
}

std::size_t Connection::Write(std::span<const std::uint8_t> bytes) {
  const auto moved = transport_->Write(bytes);
  if (moved.bytes > 0) {
    last_active_ = server_.clock.SteadyNow();
  } else if (moved.state == Transport::State::kClosed) {
    Close();
  }
  return moved.bytes;
}

void Connection::AwaitWritable() {
  if (!std::exchange(awaiting_writable_, true)) {
    tasks_.Spawn("h2 write", WriteWhenReady(shared_from_this()));
    if (session_.preface_done()) {
      SetTimer(kWriteTimeout);
    }
  }
}

Task<void> Connection::WriteWhenReady(std::shared_ptr<Connection> self) {
  boost::system::error_code failed;
  if (self->open_) {
    co_await self->socket_.async_wait(Socket::wait_write,
                                      asio::redirect_error(asio::use_awaitable, failed));
  }
  self->awaiting_writable_ = false;
  if (!failed) {
    self->Flush();
  }
}

void Connection::NoteOpenCalls() {
  if (session_.open_calls() > 0) {
    last_call_ = server_.clock.SteadyNow();
  }
}

void Connection::SetTimer(std::chrono::milliseconds wait) {
  timer_.Set(server_.clock.SteadyNow() + wait, [this] { OnTimer(); });
}

void Connection::OnTimer() {
  const auto self = shared_from_this();
  NoteOpenCalls();
  const auto now = server_.clock.SteadyNow();
  const auto quiet = std::chrono::duration_cast<std::chrono::milliseconds>(now - last_active_);
  const auto idle = std::chrono::duration_cast<std::chrono::milliseconds>(now - last_call_);
  const auto idle_timeout = server_.options.idle_timeout;
  const bool stuck = !pending_.empty() && quiet >= kWriteTimeout;
  const auto header_block_due = HeaderBlockDue();
  if (stuck || !session_.preface_done() || (header_block_due && now >= *header_block_due)) {
    Close();
    return;
  }
  if (header_block_due) {
    timer_.Set(*header_block_due, [this] { OnTimer(); });
    return;
  }
  if (ending_ && session_.open_calls() == 0) {
    session_.RefuseNewCalls();
    FlushAndClose();
    return;
  }
  if (ending_) {
    // A call came between the two words: it is served.
    session_.RefuseNewCalls();
    SetTimer(kWriteTimeout);
    return;
  }
  if (session_.open_calls() == 0 && idle >= idle_timeout) {
    ending_ = true;
    session_.AnnounceEnd();
    SetTimer(kGoawayPause);
    return;
  }
  SetTimer(pending_.empty() ? idle_timeout - idle : kWriteTimeout - quiet);
}

std::optional<SteadyTime> Connection::HeaderBlockDue() const {
  const auto since = session_.header_block_since();
  return since ? std::optional(*since + server_.options.preface_timeout) : std::nullopt;
}

}  // namespace credence::h2
