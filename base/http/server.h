#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/any_io_executor.hpp>

#include "base/core/clock.h"
#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/crypto/tls_server_context.h"

namespace credence {

/// Something that everybody may read.
struct HttpDocument {
  std::string content_type;
  /// Never null.
  std::shared_ptr<const std::string> body;
  /// How long anyone may keep it; 0: ask again each time.
  std::chrono::seconds max_age{0};
};

/// Gives the present document. kUnavailable is answered with 503, any other error with 500; the
/// message stays here.
using HttpHandler = std::function<Result<HttpDocument>()>;

/// Bounds of a server.
struct HttpServerOptions {
  /// Asked for each connection, so that certificates rotate while older connections go on; a null
  /// context closes the connection. No function: plain TCP.
  std::function<TlsServerContext()> tls;
  std::size_t max_connections = 256;
  /// Of one client address (IPv6: of one /64).
  std::size_t max_connections_per_address = 32;
  /// Request line and header lines of one request.
  std::size_t max_head_bytes = std::size_t{8} << 10;
  /// Answers on one connection; it is closed after that many.
  std::size_t max_requests_per_connection = 100;
  /// From accept to the end of the first request's head, TLS handshake included; and from the first
  /// byte of a later request to the end of its head.
  std::chrono::milliseconds request_timeout{10'000};
  /// Until the client has taken an answer.
  std::chrono::milliseconds write_timeout{10'000};
  /// Between requests.
  std::chrono::milliseconds idle_timeout{30'000};
};

/// Serves public documents over HTTP/1.1 with GET and HEAD, to strangers: who is slow, talks
/// garbage or opens many connections is cut off and costs the others nothing. Each path is one
/// document; a query is passed over. Nobody is authenticated, no request has a body, and no answer
/// names the program. Threads: all calls on the executor's thread, which is the only one that runs
/// it. Source: RFC 9110, RFC 9112.
class HttpServer {
 public:
  struct Stats {
    std::size_t connections = 0;            // open now
    std::uint64_t accepted = 0;             // served so far
    std::uint64_t connections_refused = 0;  // over a cap
    std::uint64_t requests = 0;             // answered, refused ones too
  };

  /// `clock` outlives the server.
  HttpServer(asio::any_io_executor executor, const Clock& clock, HttpServerOptions options);
  /// Stop() has ended before, or Listen() never succeeded.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Serves `path` with `handler`. Errors: kAlreadyExists naming a path that is taken;
  /// kInvalidArgument unless it starts with '/' and is visible ASCII without '?' and '#'.
  Result<void> Handle(std::string path, HttpHandler handler);

  /// Binds `address`, a literal IP, and starts to serve; returns the port, which the system chooses
  /// where `port` is 0. May be called for several addresses. Errors: kInvalidArgument for what is
  /// no address; kAlreadyExists if somebody listens there; as CodeFromErrno. All name the address.
  Result<std::uint16_t> Listen(std::string_view address, std::uint16_t port);

  /// Stops accepting, closes idle connections, lets requests under way be answered until
  /// `deadline`, then cuts. May be called twice.
  Task<void> Stop(Deadline deadline);

  Stats stats() const;

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace credence
