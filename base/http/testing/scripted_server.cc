#include "base/http/testing/scripted_server.h"

#include <cstdlib>
#include <exception>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

namespace credence {

using asio::ip::tcp;
using boost::system::error_code;

struct ScriptedServer::State {
  State(asio::io_context& io, std::shared_ptr<asio::ssl::context> context)
      : acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0)), tls(std::move(context)) {}

  tcp::acceptor acceptor;
  std::shared_ptr<asio::ssl::context> tls;
  std::deque<ScriptedAnswer> script;
  std::vector<std::string> requests;
  std::size_t connections = 0;
};

namespace {

using SharedState = std::shared_ptr<ScriptedServer::State>;

std::size_t ContentLength(const std::string& head) {
  const auto at = head.find("Content-Length: ");
  return at == std::string::npos ? 0 : std::strtoul(head.c_str() + at + 16, nullptr, 10);
}

template <class Stream>
Task<void> Play(Stream& stream, SharedState state, ScriptedAnswer answer) {
  error_code failed;
  if (answer.read_request) {
    std::string request;
    std::string piece(4096, '\0');
    auto body = std::string::npos;
    while (!failed &&
           (body == std::string::npos || request.size() < body + ContentLength(request))) {
      const std::size_t size = co_await stream.async_read_some(
          asio::buffer(piece), asio::redirect_error(asio::use_awaitable, failed));
      request.append(piece, 0, size);
      const auto end = request.find("\r\n\r\n");
      body = end == std::string::npos ? end : end + 4;
    }
    state->requests.push_back(request);
  }
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor);
  for (std::size_t round = 0; round < answer.repeat && !failed; ++round) {
    if (answer.byte_delay.count() == 0) {
      co_await asio::async_write(
          stream, asio::buffer(answer.bytes), asio::redirect_error(asio::use_awaitable, failed));
      continue;
    }
    for (std::size_t i = 0; i < answer.bytes.size() && !failed; ++i) {
      timer.expires_after(answer.byte_delay);
      co_await timer.async_wait(asio::use_awaitable);
      co_await asio::async_write(stream,
                                 asio::buffer(&answer.bytes[i], 1),
                                 asio::redirect_error(asio::use_awaitable, failed));
    }
  }
  if (answer.ending == ScriptedAnswer::Ending::kHang) {
    timer.expires_after(std::chrono::hours(1));
    co_await timer.async_wait(asio::use_awaitable);
  }
  if (answer.ending == ScriptedAnswer::Ending::kReset) {
    error_code ignored;
    stream.lowest_layer().set_option(asio::socket_base::linger(true, 0), ignored);
    // Not left to the destructor, which turns lingering off again.
    stream.lowest_layer().close(ignored);
  }
}

Task<void> Serve(SharedState state, tcp::socket socket) {
  ++state->connections;
  if (state->script.empty()) {
    co_return;
  }
  ScriptedAnswer answer = std::move(state->script.front());
  state->script.pop_front();
  error_code failed;
  if (state->tls == nullptr) {
    const bool orderly = answer.ending == ScriptedAnswer::Ending::kClose;
    co_await Play(socket, state, std::move(answer));
    if (orderly) {
      socket.shutdown(tcp::socket::shutdown_send, failed);
    }
    co_return;
  }
  asio::ssl::stream<tcp::socket> stream(std::move(socket), *state->tls);
  co_await stream.async_handshake(asio::ssl::stream_base::server,
                                  asio::redirect_error(asio::use_awaitable, failed));
  if (!failed) {
    co_await Play(stream, state, std::move(answer));
  }
}

Task<void> Accept(SharedState state) {
  while (true) {
    tcp::socket socket = co_await state->acceptor.async_accept(asio::use_awaitable);
    const auto executor = co_await asio::this_coro::executor;
    asio::co_spawn(executor, Serve(state, std::move(socket)), [](std::exception_ptr /*end*/) {});
  }
}

}  // namespace

std::string HttpAnswer(int status, const std::string& body, const std::string& extra_headers) {
  return fmt::format(
      "HTTP/1.1 {} Scripted\r\nContent-Type: application/json\r\n{}Content-Length: {}\r\n\r\n{}",
      status,
      extra_headers,
      body.size(),
      body);
}

ScriptedServer::ScriptedServer(asio::io_context& io, std::shared_ptr<asio::ssl::context> tls)
    : state_(std::make_shared<State>(io, std::move(tls))) {
  asio::co_spawn(io, Accept(state_), [](std::exception_ptr /*end*/) {});
}

void ScriptedServer::Enqueue(ScriptedAnswer answer) {
  state_->script.push_back(std::move(answer));
}

void ScriptedServer::Enqueue(std::string bytes) {
  ScriptedAnswer answer;
  answer.bytes = std::move(bytes);
  Enqueue(std::move(answer));
}

std::string ScriptedServer::Url() const {
  return state_->tls == nullptr ? fmt::format("http://127.0.0.1:{}", port())
                                : fmt::format("https://localhost:{}", port());
}

std::uint16_t ScriptedServer::port() const {
  return state_->acceptor.local_endpoint().port();
}
const std::vector<std::string>& ScriptedServer::requests() const {
  return state_->requests;
}
std::size_t ScriptedServer::connections() const {
  return state_->connections;
}

}  // namespace credence
