#include "base/http/server.h"

#include <errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include "base/core/backoff.h"
#include "base/core/file.h"
#include "base/core/log.h"
#include "base/core/task_group.h"
#include "base/core/unique_fd.h"
#include "base/http/server_conversation.h"
#include "base/http/server_message.h"

namespace credence {
namespace {

using asio::ip::tcp;
using boost::system::error_code;

/// Connections taken before others get their turn.
constexpr int kAcceptsPerTurn = 32;
constexpr int kBacklog = 128;
constexpr std::uint16_t kIpv6PrefixBytes = 8;

/// What counts as one client: one person commands a whole /64.
asio::ip::address ClientOf(const asio::ip::address& address) {
  if (!address.is_v6()) {
    return address;
  }
  const auto v6 = address.to_v6();
  if (v6.is_v4_mapped()) {
    return asio::ip::make_address_v4(asio::ip::v4_mapped, v6);
  }
  auto bytes = v6.to_bytes();
  std::fill(bytes.begin() + kIpv6PrefixBytes, bytes.end(), std::uint8_t{0});
  return asio::ip::address_v6(bytes);
}

Result<UniqueFd> BindAndListen(const tcp::endpoint& endpoint) {
  UniqueFd fd(socket(
      endpoint.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  const int on = 1;
  if (!fd.valid() || setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      bind(fd.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0 ||
      listen(fd.get(), kBacklog) != 0) {
    const int failed = errno;
    return Error(failed == EADDRINUSE ? Code::kAlreadyExists : CodeFromErrno(failed),
                 ErrnoText(failed));
  }
  return fd;
}

bool IsDocumentPath(std::string_view path) {
  return path.starts_with('/') && std::all_of(path.begin(), path.end(), [](char c) {
           return c > ' ' && c <= '~' && c != '?' && c != '#';
         });
}

}  // namespace

class HttpServer::Core {
 public:
  Core(asio::any_io_executor executor, const Clock& clock, HttpServerOptions options)
      : executor_(executor),
        clock_(clock),
        context_{std::move(options),
                 [this](const ServerRequest& request, bool last) { return Compose(request, last); },
                 {}},
        all_closed_(executor, SteadyTime::max()),
        tasks_(executor) {}

  Result<void> Handle(std::string path, HttpHandler handler);
  Result<std::uint16_t> Listen(std::string_view address, std::uint16_t port);
  Task<void> Stop(Deadline deadline);
  const Stats& stats() const { return stats_; }

 private:
  enum class Accepted { kAll, kOutOfDescriptors };

  /// A connection within the caps, counted until this ends.
  class Admission {
   public:
    Admission(Core& core, asio::ip::address client) : core_(&core), client_(std::move(client)) {
      ++core.stats_.connections;
      ++core.per_client_[client_];
    }
    Admission(Admission&& other) noexcept
        : core_(std::exchange(other.core_, nullptr)), client_(other.client_) {}
    Admission& operator=(Admission&&) = delete;
    Admission(const Admission&) = delete;
    Admission& operator=(const Admission&) = delete;
    ~Admission() {
      if (core_ != nullptr) {
        core_->Leave(client_);
      }
    }

   private:
    Core* core_;
    asio::ip::address client_;
  };

  Task<void> AcceptUntilStopped(std::shared_ptr<tcp::acceptor> acceptor);
  Accepted AcceptSome(tcp::acceptor& acceptor);
  void Admit(UniqueFd fd, const tcp::endpoint& from);
  void Leave(const asio::ip::address& client);
  Task<void> Serve(tcp::socket socket, Admission admission);
  ServerAnswer Compose(const ServerRequest& request, bool last);
  Result<HttpDocument> Find(const ServerRequest& request, int& status) const;
  Task<void> AwaitConnectionsClosed();

  asio::any_io_executor executor_;
  const Clock& clock_;
  ConversationContext context_;
  std::map<std::string, HttpHandler, std::less<>> handlers_;
  std::vector<std::shared_ptr<tcp::acceptor>> acceptors_;
  std::map<asio::ip::address, std::size_t> per_client_;
  Stats stats_;
  asio::steady_timer all_closed_;
  TaskGroup tasks_;
};

Result<void> HttpServer::Core::Handle(std::string path, HttpHandler handler) {
  if (!IsDocumentPath(path)) {
    return Error(Code::kInvalidArgument,
                 fmt::format("HTTP path \"{}\" does not start with '/' or has a character that is "
                             "not allowed",
                             path));
  }
  if (handlers_.contains(path)) {
    return Error(Code::kAlreadyExists, fmt::format("HTTP path {} is served already", path));
  }
  handlers_.emplace(std::move(path), std::move(handler));
  return Ok();
}

Result<std::uint16_t> HttpServer::Core::Listen(std::string_view address, std::uint16_t port) {
  error_code failed;
  const auto ip = asio::ip::make_address(std::string(address), failed);
  if (failed) {
    return Error(Code::kInvalidArgument,
                 fmt::format("cannot listen on \"{}\": it is no IP address", address));
  }
  const tcp::endpoint endpoint(ip, port);
  const std::string name = fmt::format(
      "listen on {}",
      ip.is_v6() ? fmt::format("[{}]:{}", address, port) : fmt::format("{}:{}", address, port));
  auto fd = BindAndListen(endpoint);
  if (!fd.ok()) {
    return std::move(fd).error().Wrap(name);
  }
  const auto acceptor = std::make_shared<tcp::acceptor>(executor_);
  acceptor->assign(endpoint.protocol(), fd->get(), failed);
  if (failed) {
    return Error(Code::kInternal, fmt::format("{}: {}", name, failed.message()));
  }
  (void)fd->release();
  const auto bound = acceptor->local_endpoint(failed);
  acceptors_.push_back(acceptor);
  tasks_.Spawn("http accept", AcceptUntilStopped(acceptor));
  return bound.port();
}

Task<void> HttpServer::Core::AcceptUntilStopped(std::shared_ptr<tcp::acceptor> acceptor) {
  Backoff backoff({.initial = std::chrono::milliseconds(10),
                   .cap = std::chrono::milliseconds(1000),
                   .factor = 2});
  bool complained = false;
  while (acceptor->is_open()) {
    error_code failed;
    co_await acceptor->async_wait(tcp::acceptor::wait_read,
                                  asio::redirect_error(asio::use_awaitable, failed));
    if (failed) {
      co_return;
    }
    if (AcceptSome(*acceptor) == Accepted::kAll) {
      backoff.Reset();
      complained = false;
      continue;
    }
    // The clients wait in the socket's queue meanwhile.
    if (!std::exchange(complained, true)) {
      LogWarn("Out of file descriptors, new HTTP connections wait",
              {{"connections", stats_.connections}});
    }
    co_await Sleep(backoff.Next());
  }
}

HttpServer::Core::Accepted HttpServer::Core::AcceptSome(tcp::acceptor& acceptor) {
  for (int i = 0; i < kAcceptsPerTurn && acceptor.is_open(); ++i) {
    tcp::endpoint from;
    auto size = static_cast<socklen_t>(from.capacity());
    UniqueFd fd(
        accept4(acceptor.native_handle(), from.data(), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.valid()) {
      from.resize(size);
      Admit(std::move(fd), from);
      continue;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      return Accepted::kOutOfDescriptors;
    }
    if (errno == EAGAIN) {
      break;
    }
    // Anything else is about one connection that broke before it was taken.
  }
  return Accepted::kAll;
}

void HttpServer::Core::Admit(UniqueFd fd, const tcp::endpoint& from) {
  const asio::ip::address client = ClientOf(from.address());
  const auto known = per_client_.find(client);
  if (stats_.connections >= context_.options.max_connections ||
      (known != per_client_.end() &&
       known->second >= context_.options.max_connections_per_address)) {
    ++stats_.connections_refused;
    LogDebug("HTTP connection refused: too many are open", {{"client", client.to_string()}});
    return;
  }
  tcp::socket socket(executor_);
  error_code failed;
  socket.assign(from.protocol(), fd.get(), failed);
  if (failed) {
    ++stats_.connections_refused;
    return;
  }
  (void)fd.release();
  socket.set_option(tcp::no_delay(true), failed);
  ++stats_.accepted;
  tasks_.Spawn("http connection", Serve(std::move(socket), Admission(*this, client)));
}

void HttpServer::Core::Leave(const asio::ip::address& client) {
  const auto known = per_client_.find(client);
  if (--known->second == 0) {
    per_client_.erase(known);
  }
  if (--stats_.connections == 0) {
    all_closed_.cancel();
  }
}

Task<void> HttpServer::Core::Serve(tcp::socket socket, Admission /*admission*/) {
  co_await ServeHttpConnection(context_, std::move(socket));
}

Result<HttpDocument> HttpServer::Core::Find(const ServerRequest& request, int& status) const {
  status = request.status;
  if (status == 200) {
    const auto handler = handlers_.find(request.path);
    if (handler != handlers_.end()) {
      auto document = handler->second();
      if (document.ok() || document.error().code() == Code::kUnavailable) {
        status = document.ok() ? 200 : 503;
      } else {
        status = 500;
      }
      return document;
    }
    status = 404;
  }
  return Error(Code::kNotFound, std::string(HttpReason(status)));
}

ServerAnswer HttpServer::Core::Compose(const ServerRequest& request, bool last) {
  ++stats_.requests;
  ServerResponseHead head;
  auto found = Find(request, head.status);
  HttpDocument document;
  if (found.ok()) {
    document = *std::move(found);
  } else {
    LogDebug("HTTP request not answered with a document",
             {{"status", head.status}, {"error", found.error()}});
    document.content_type = "text/plain; charset=utf-8";
    document.body = std::make_shared<const std::string>(
        fmt::format("{} {}\n", head.status, HttpReason(head.status)));
  }
  head.content_type = document.content_type;
  head.content_length = document.body->size();
  head.max_age = document.max_age;
  head.keep_alive = !last && !context_.stopping && request.keep_alive;
  return ServerAnswer{SerializeResponseHead(head, clock_.Now()),
                      request.head_only ? nullptr : std::move(document.body),
                      !head.keep_alive};
}

Task<void> HttpServer::Core::AwaitConnectionsClosed() {
  while (stats_.connections > 0) {
    error_code woken;
    co_await all_closed_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      co_return;
    }
  }
}

Task<void> HttpServer::Core::Stop(Deadline deadline) {
  context_.stopping = true;
  error_code ignored;
  for (const auto& acceptor : std::exchange(acceptors_, {})) {
    acceptor->close(ignored);
  }
  for (tcp::socket* socket : context_.idle) {
    socket->cancel(ignored);
  }
  {
    using boost::asio::experimental::awaitable_operators::operator||;
    co_await (AwaitConnectionsClosed() || SleepUntil(deadline));
  }
  co_await tasks_.Stop();
}

HttpServer::HttpServer(asio::any_io_executor executor,
                       const Clock& clock,
                       HttpServerOptions options)
    : core_(std::make_unique<Core>(std::move(executor), clock, std::move(options))) {}

HttpServer::~HttpServer() = default;

Result<void> HttpServer::Handle(std::string path, HttpHandler handler) {
  return core_->Handle(std::move(path), std::move(handler));
}

Result<std::uint16_t> HttpServer::Listen(std::string_view address, std::uint16_t port) {
  return core_->Listen(address, port);
}

Task<void> HttpServer::Stop(Deadline deadline) {
  return core_->Stop(deadline);
}

HttpServer::Stats HttpServer::stats() const {
  return core_->stats();
}

}  // namespace credence
