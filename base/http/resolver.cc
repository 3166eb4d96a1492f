#include "base/http/resolver.h"

#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>
#include <netdb.h>

namespace credence {
namespace {

using Endpoint = asio::ip::tcp::endpoint;
using Endpoints = std::vector<Endpoint>;

constexpr std::size_t kThreads = 4;
constexpr int kMaxPending = 32;
constexpr std::size_t kMaxAddresses = 8;

struct FreeAddresses {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

/// Blocks.
Endpoints LookUp(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* raw = nullptr;
  Endpoints found;
  if (getaddrinfo(host.c_str(), nullptr, &hints, &raw) != 0) {
    return found;
  }
  const std::unique_ptr<addrinfo, FreeAddresses> list(raw);
  for (const addrinfo* item = list.get(); item != nullptr && found.size() < kMaxAddresses;
       item = item->ai_next) {
    Endpoint endpoint;
    if (item->ai_addrlen > endpoint.capacity()) {
      continue;
    }
    std::memcpy(endpoint.data(), item->ai_addr, item->ai_addrlen);
    endpoint.resize(item->ai_addrlen);
    endpoint.port(port);
    found.push_back(endpoint);
  }
  return found;
}

/// Nothing when cancelled.
using Answer = std::optional<Endpoints>;

/// Touched on the home executor only, so that cancellation and the answer cannot both call the
/// handler.
template <class Handler>
struct Waiting {
  std::optional<Handler> handler;

  void Complete(Answer answer) {
    if (handler.has_value()) {
      Handler ready = *std::exchange(handler, std::nullopt);
      std::move(ready)(std::move(answer));
    }
  }
};

/// Frees a place in the count when the last copy of the job is gone, whether it ran or not.
using Place = std::shared_ptr<void>;

Task<Answer> LookUpOn(asio::thread_pool& threads,
                      std::string host,
                      std::uint16_t port,
                      Place place) {
  auto initiate = [&threads](auto handler, std::string name, std::uint16_t number, Place taken) {
    using Handler = decltype(handler);
    const auto home = asio::get_associated_executor(handler);
    auto slot = asio::get_associated_cancellation_slot(handler);
    auto waiting = std::make_shared<Waiting<Handler>>(Waiting<Handler>{std::move(handler)});
    if (slot.is_connected()) {
      slot.assign([waiting, home](asio::cancellation_type /*type*/) {
        asio::post(home, [waiting] { waiting->Complete(std::nullopt); });
      });
    }
    asio::post(threads,
               [waiting, home, name = std::move(name), number, taken = std::move(taken)]() mutable {
                 Endpoints found = LookUp(name, number);
                 asio::post(
                     home,
                     [waiting = std::move(waiting),
                      found = std::move(found),
                      taken = std::move(taken)]() mutable { waiting->Complete(std::move(found)); });
               });
  };
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(Answer)>(
      initiate, asio::use_awaitable, std::move(host), port, std::move(place));
}

}  // namespace

NameResolver::NameResolver() : threads_(kThreads), pending_(std::make_shared<int>(0)) {}

NameResolver::~NameResolver() {
  threads_.stop();
  threads_.join();
}

Task<Result<Endpoints>> NameResolver::Resolve(HttpUrl url) {
  if (url.host_kind != HostKind::kName) {
    boost::system::error_code failed;
    const auto address = asio::ip::make_address(url.host, failed);
    if (failed) {
      co_return Error(Code::kInvalidArgument, fmt::format("{} is no address", url.host));
    }
    co_return Endpoints{Endpoint(address, url.port)};
  }
  if (url.host == "localhost") {
    co_return Endpoints{Endpoint(asio::ip::address_v4::loopback(), url.port),
                        Endpoint(asio::ip::address_v6::loopback(), url.port)};
  }
  if (*pending_ >= kMaxPending) {
    co_return Error(Code::kUnavailable, "too many name lookups hang");
  }
  ++*pending_;
  Place place(nullptr, [pending = pending_](void*) { --*pending; });
  Answer found = co_await LookUpOn(threads_, url.host, url.port, std::move(place));
  if (!found.has_value()) {
    co_return Error(Code::kCancelled, "name lookup was cancelled");
  }
  if (found->empty()) {
    co_return Error(Code::kUnavailable, fmt::format("host {} was not found", url.host));
  }
  co_return *std::move(found);
}

}  // namespace credence
