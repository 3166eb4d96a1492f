#include "agent/cli/check/network.h"

#include <exception>
#include <optional>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

#include "base/core/deadline.h"
#include "base/http/resolver.h"

namespace credence {
namespace {

using asio::ip::tcp;

template <class T>
Task<void> Keep(Task<T> task, std::optional<T>* kept) {
  T value = co_await std::move(task);
  kept->emplace(std::move(value));
}

/// Runs `task` to its end.
template <class T>
std::optional<T> RunHere(asio::io_context& io, Task<T> task) {
  std::optional<T> kept;
  asio::co_spawn(io, Keep(std::move(task), &kept), [](const std::exception_ptr&) {});
  io.run();
  return kept;
}

Error Lost() {
  return Error(Code::kInternal, "the step did not end");
}

Task<Result<tcp::endpoint>> ConnectAny(std::vector<tcp::endpoint> endpoints) {
  const auto executor = co_await asio::this_coro::executor;
  Error last(Code::kUnavailable, "the host has no address");
  for (const tcp::endpoint& endpoint : endpoints) {
    tcp::socket socket(executor);
    boost::system::error_code failed;
    co_await socket.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, failed));
    if (!failed) {
      co_return endpoint;
    }
    if (failed == asio::error::operation_aborted) {
      co_return Error(Code::kCancelled, "cancelled");
    }
    last = Error(
        Code::kUnavailable,
        fmt::format(
            "{} port {}: {}", endpoint.address().to_string(), endpoint.port(), failed.message()));
  }
  co_return last;
}

}  // namespace

Result<std::vector<tcp::endpoint>> ResolveNow(const HttpUrl& url,
                                              std::chrono::milliseconds timeout) {
  asio::io_context io;
  NameResolver resolver;
  auto kept = RunHere(io, WithDeadline(Deadline::After(timeout), resolver.Resolve(url)));
  return kept ? *std::move(kept) : Result<std::vector<tcp::endpoint>>(Lost());
}

Result<tcp::endpoint> ConnectNow(const std::vector<tcp::endpoint>& endpoints,
                                 std::chrono::milliseconds timeout) {
  asio::io_context io;
  auto kept = RunHere(io, WithDeadline(Deadline::After(timeout), ConnectAny(endpoints)));
  return kept ? *std::move(kept) : Result<tcp::endpoint>(Lost());
}

HttpOutcome GetNow(const HttpUrl& url,
                   const std::string& ca_file,
                   std::size_t max_bytes,
                   std::chrono::milliseconds timeout) {
  asio::io_context io;
  HttpClient client;
  HttpRequest request;
  request.url = url;
  request.ca_file = ca_file;
  request.max_response_bytes = max_bytes;
  auto kept = RunHere(io, client.Send(std::move(request), Deadline::After(timeout)));
  return kept ? *std::move(kept) : HttpOutcome{Lost()};
}

}  // namespace credence
