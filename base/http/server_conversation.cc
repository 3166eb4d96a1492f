#include "base/http/server_conversation.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <openssl/ssl.h>

#include "base/core/deadline.h"
#include "base/core/log.h"
#include "base/core/result.h"

namespace credence {
namespace {

using asio::ip::tcp;
using TlsStream = asio::ssl::stream<tcp::socket>;
using boost::system::error_code;

/// How long, and how much, a client may go on sending after its last answer. Closing at once would
/// reset the connection and might take the answer from it.
constexpr std::chrono::milliseconds kLingerTime{1000};
constexpr std::size_t kLingerBytes = std::size_t{64} << 10;

/// A socket on the list of those on which nothing is under way.
class Idle {
 public:
  Idle(std::list<tcp::socket*>& sockets, tcp::socket& socket)
      : sockets_(sockets), place_(sockets.insert(sockets.end(), &socket)) {}
  ~Idle() { sockets_.erase(place_); }
  Idle(const Idle&) = delete;
  Idle& operator=(const Idle&) = delete;

 private:
  std::list<tcp::socket*>& sockets_;
  std::list<tcp::socket*>::iterator place_;
};

/// Closes our side and lets the client close its own.
Task<Result<void>> Drain(tcp::socket& socket) {
  error_code failed;
  socket.shutdown(tcp::socket::shutdown_send, failed);
  std::array<std::uint8_t, 4096> rest{};
  std::size_t drained = 0;
  while (!failed && drained < kLingerBytes) {
    const std::size_t size = co_await socket.async_read_some(
        asio::buffer(rest), asio::redirect_error(asio::use_awaitable, failed));
    drained += size;
  }
  co_return Ok();
}

Task<Result<void>> Close(tcp::socket& socket) {
  return Drain(socket);
}

Task<Result<void>> Close(TlsStream& stream) {
  error_code failed;
  co_await stream.async_shutdown(asio::redirect_error(asio::use_awaitable, failed));
  co_return co_await Drain(stream.next_layer());
}

Task<Result<void>> Handshake(TlsStream& stream) {
  error_code failed;
  co_await stream.async_handshake(asio::ssl::stream_base::server,
                                  asio::redirect_error(asio::use_awaitable, failed));
  if (failed) {
    co_return Error(Code::kUnavailable, failed.message());
  }
  co_return Ok();
}

template <class Stream>
Task<Result<std::size_t>> ReadMore(ConversationContext& context,
                                   Stream& stream,
                                   tcp::socket& socket,
                                   RequestReader& reader) {
  std::optional<Idle> idle;
  if (reader.empty()) {
    if (context.stopping) {
      co_return Error(Code::kCancelled, "the server stops");
    }
    idle.emplace(context.idle, socket);
  }
  const auto space = reader.Space();
  error_code failed;
  const std::size_t size = co_await stream.async_read_some(
      asio::buffer(space.data(), space.size()), asio::redirect_error(asio::use_awaitable, failed));
  reader.Commit(size);
  if (size == 0) {
    co_return Error(Code::kUnavailable, failed.message());
  }
  co_return size;
}

template <class Stream>
Task<Result<ServerRequest>> ReadRequest(ConversationContext& context,
                                        Stream& stream,
                                        tcp::socket& socket,
                                        RequestReader& reader) {
  while (true) {
    auto request = reader.Next();
    if (request.has_value()) {
      co_return *std::move(request);
    }
    auto more = co_await ReadMore(context, stream, socket, reader);
    if (!more.ok()) {
      co_return std::move(more).error();
    }
  }
}

template <class Stream>
Task<Result<void>> Write(Stream& stream, const ServerAnswer& answer) {
  const std::array<asio::const_buffer, 2> pieces = {
      asio::buffer(answer.head),
      answer.body == nullptr ? asio::const_buffer() : asio::buffer(*answer.body)};
  error_code failed;
  co_await asio::async_write(stream, pieces, asio::redirect_error(asio::use_awaitable, failed));
  if (failed) {
    co_return Error(Code::kUnavailable, failed.message());
  }
  co_return Ok();
}

template <class Stream>
Task<void> Converse(ConversationContext& context,
                    Stream& stream,
                    tcp::socket& socket,
                    Deadline deadline) {
  RequestReader reader(context.options.max_head_bytes);
  bool last = false;
  for (std::size_t served = 1; !last; ++served) {
    if (served > 1 && reader.empty()) {
      const Deadline patience = Deadline::After(context.options.idle_timeout);
      auto waited = co_await WithDeadline(patience, ReadMore(context, stream, socket, reader));
      if (!waited.ok()) {
        co_return;
      }
    }
    if (served > 1) {
      deadline = Deadline::After(context.options.request_timeout);
    }
    auto request = co_await WithDeadline(deadline, ReadRequest(context, stream, socket, reader));
    if (!request.ok()) {
      co_return;
    }
    const ServerAnswer answer =
        context.answer(*request, served >= context.options.max_requests_per_connection);
    last = answer.last;
    const Deadline patience = Deadline::After(context.options.write_timeout);
    auto written = co_await WithDeadline(patience, Write(stream, answer));
    if (!written.ok()) {
      co_return;
    }
  }
  const Deadline patience = Deadline::After(kLingerTime);
  auto closed = co_await WithDeadline(patience, Close(stream));
  closed.IgnoreBecause("the client has had its answer");
}

}  // namespace

Task<void> ServeHttpConnection(ConversationContext& context, tcp::socket socket) {
  const Deadline deadline = Deadline::After(context.options.request_timeout);
  if (!context.options.tls) {
    co_await Converse(context, socket, socket, deadline);
    co_return;
  }
  // Its callbacks live as long as this pointer, not as long as OpenSSL's own count.
  const TlsServerContext tls = context.options.tls();
  SSL* ssl = tls == nullptr ? nullptr : SSL_new(tls.get());
  if (ssl == nullptr) {
    LogDebug("HTTP connection closed: there is no TLS certificate");
    co_return;
  }
  TlsStream stream(std::move(socket), ssl);
  auto secured = co_await WithDeadline(deadline, Handshake(stream));
  if (!secured.ok()) {
    LogDebug("TLS handshake of an HTTP client failed", {{"error", secured.error()}});
    co_return;
  }
  co_await Converse(context, stream, stream.next_layer(), deadline);
}

}  // namespace credence
