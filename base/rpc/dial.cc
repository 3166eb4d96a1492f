#include "base/rpc/dial.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstring>
#include <utility>
#include <vector>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <fmt/format.h>
#include <netdb.h>

namespace credence {
namespace {

using DialEndpoint = asio::generic::stream_protocol::endpoint;
using DialEndpoints = std::vector<DialEndpoint>;

constexpr std::size_t kMostAddresses = 8;
/// What the server has not acknowledged for this long ends the connection. The kernel counts it,
/// and only while something is on its way.
constexpr unsigned kUnacknowledgedMilliseconds = 30'000;

struct FreeFound {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

/// Blocks.
DialEndpoints FindAddresses(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* raw = nullptr;
  DialEndpoints found;
  const int failed = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &raw);
  const std::unique_ptr<addrinfo, FreeFound> list(failed == 0 ? raw : nullptr);
  for (const addrinfo* item = list.get(); item != nullptr && found.size() < kMostAddresses;
       item = item->ai_next) {
    found.emplace_back(item->ai_addr, item->ai_addrlen, 0);
  }
  return found;
}

Error NoConnection(const DialPlan& plan, std::string_view why) {
  return Error(Code::kUnavailable,
               fmt::format("cannot connect to {}: {}", plan.names.address, why));
}

Task<Result<DialEndpoints>> ResolvePlan(std::shared_ptr<const DialPlan> plan,
                                        asio::thread_pool& pool) {
  if (!plan->unix_path.empty()) {
    co_return DialEndpoints{asio::local::stream_protocol::endpoint(plan->unix_path)};
  }
  boost::system::error_code not_numeric;
  const auto address = asio::ip::make_address(plan->host, not_numeric);
  if (!not_numeric) {
    co_return DialEndpoints{asio::ip::tcp::endpoint(address, plan->port)};
  }
  auto look_up = [host = plan->host, port = plan->port] { return FindAddresses(host, port); };
  auto found = co_await RunOn(pool, std::move(look_up));
  if (found.empty()) {
    co_return NoConnection(*plan, fmt::format("host {} was not found", plan->host));
  }
  co_return found;
}

Task<Result<void>> ConnectSocket(RpcConnection::Socket& socket, DialEndpoint endpoint) {
  boost::system::error_code failed;
  co_await socket.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, failed));
  if (failed) {
    co_return Error(Code::kUnavailable, failed.message());
  }
  co_return Ok();
}

void PrepareSocket(RpcConnection::Socket& socket, bool tcp) {
  boost::system::error_code ignored;
  socket.native_non_blocking(true, ignored);
  if (tcp) {
    const int fd = socket.native_handle();
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const unsigned limit = kUnacknowledgedMilliseconds;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, sizeof limit);
  }
}

/// A host in a TLS handshake is a name, never an address. Source: RFC 6066 section 3.
std::string ServerName(const DialPlan& plan) {
  boost::system::error_code not_numeric;
  (void)asio::ip::make_address(plan.host, not_numeric);
  return not_numeric ? plan.host : "";
}

std::unique_ptr<h2::Transport> MakeTransport(const DialPlan& plan, int socket) {
  if (!plan.tls) {
    return h2::MakePlainTransport(socket);
  }
  auto opened = [](ssl_st* connection) {
    return SpeaksHttp2(connection)
               ? Ok()
               : Result<void>(Error(Code::kUnavailable, "the server does not speak HTTP/2"));
  };
  return h2::MakeTlsClientTransport(socket, plan.tls, ServerName(plan), std::move(opened));
}

Task<Result<std::shared_ptr<RpcConnection>>> DialOne(std::shared_ptr<const DialPlan> plan,
                                                     DialEndpoint endpoint,
                                                     Deadline deadline) {
  const auto executor = co_await asio::this_coro::executor;
  RpcConnection::Socket socket(executor);
  auto connected = co_await WithDeadline(deadline, ConnectSocket(socket, endpoint));
  if (!connected.ok()) {
    const bool late = connected.error().code() == Code::kDeadlineExceeded;
    co_return NoConnection(*plan, late ? "it does not answer" : connected.error().message());
  }
  PrepareSocket(socket, plan->unix_path.empty());
  auto transport = MakeTransport(*plan, socket.native_handle());
  if (!transport) {
    co_return NoConnection(*plan, "out of memory");
  }
  plan->complaint->clear();
  const auto connection =
      std::make_shared<RpcConnection>(std::move(socket), std::move(transport), plan->names);
  connection->Start();
  auto opened = co_await connection->Opened(deadline);
  if (opened.ok()) {
    co_return connection;
  }
  if (!plan->complaint->empty()) {
    co_return NoConnection(*plan, *plan->complaint);
  }
  if (opened.error().code() == Code::kDeadlineExceeded) {
    co_return NoConnection(*plan, "it accepts connections and says nothing");
  }
  co_return std::move(opened).error();
}

}  // namespace

Task<Result<std::shared_ptr<RpcConnection>>> Dial(std::shared_ptr<const DialPlan> plan,
                                                  asio::thread_pool& pool) {
  auto endpoints = co_await ResolvePlan(plan, pool);
  if (!endpoints.ok()) {
    co_return std::move(endpoints).error();
  }
  const auto deadline = Deadline::After(kDialTime);
  Result<std::shared_ptr<RpcConnection>> last = NoConnection(*plan, "it has no address");
  for (std::size_t i = 0; i < endpoints->size(); ++i) {
    const auto left = static_cast<std::chrono::nanoseconds::rep>(endpoints->size() - i);
    const auto share = Deadline::After(deadline.Remaining() / left);
    last = co_await DialOne(plan, (*endpoints)[i], share);
    if (last.ok()) {
      break;
    }
  }
  co_return last;
}

}  // namespace credence
