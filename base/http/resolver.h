#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/thread_pool.hpp>

#include "base/core/result.h"
#include "base/core/task.h"
#include "base/http/url.h"

namespace credence {

/// Looks host names up with getaddrinfo, which blocks and cannot be interrupted, on threads of its
/// own: a name server that hangs holds up neither the caller's deadline nor other names, until all
/// threads are taken. Threads: calls on the core thread. Destroy it before the io_context; the
/// destructor waits for lookups under way.
class NameResolver {
 public:
  NameResolver();
  ~NameResolver();
  NameResolver(const NameResolver&) = delete;
  NameResolver& operator=(const NameResolver&) = delete;

  /// Addresses of the URL's host with its port, at most 8, in the system's order. IP addresses and
  /// localhost need no lookup: localhost is 127.0.0.1 and ::1 whatever a name server says. Errors:
  /// kUnavailable if the name is not found or too many lookups hang. Cancellation: prompt; the
  /// lookup itself goes on unseen.
  Task<Result<std::vector<asio::ip::tcp::endpoint>>> Resolve(HttpUrl url);

 private:
  asio::thread_pool threads_;
  std::shared_ptr<int> pending_;
};

}  // namespace credence
