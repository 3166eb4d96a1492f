#pragma once

#include <chrono>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "base/core/result.h"
#include "base/core/task.h"
#include "base/http/client.h"
#include "base/http/url.h"

/// Blocking steps on the way to a server, for a command line: each has an event loop of its own and
/// ends after `timeout`.
namespace credence {

/// The addresses of the URL's host. Errors: as NameResolver; kDeadlineExceeded.
Result<std::vector<asio::ip::tcp::endpoint>> ResolveNow(const HttpUrl& url,
                                                        std::chrono::milliseconds timeout);

/// The first of the addresses that takes a TCP connection. Errors: kUnavailable with the last
/// reason; kDeadlineExceeded.
Result<asio::ip::tcp::endpoint> ConnectNow(const std::vector<asio::ip::tcp::endpoint>& endpoints,
                                           std::chrono::milliseconds timeout);

/// GET of `url`. Errors: as HttpClient.
HttpOutcome GetNow(const HttpUrl& url,
                   const std::string& ca_file,
                   std::size_t max_bytes,
                   std::chrono::milliseconds timeout);

}  // namespace credence
