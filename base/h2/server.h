#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/crypto/tls_server_context.h"
#include "base/h2/server_call.h"

namespace credence::h2 {

/// Bounds of a server. The defaults let 1,000 callers of one uid connect in one instant and hold a
/// stream each. What is said of a uid goes for an IP address (IPv6: a /64) when connections come by
/// TLS. A few that take all they can of a total leave some of it to others (Account::Share).
struct ServerOptions {
  /// Connections of one uid, root included.
  std::size_t max_connections_per_uid = 2048;
  /// Connections in all; each costs three descriptors, so RLIMIT_NOFILE may lower this.
  std::size_t max_connections = 16384;
  /// Calls whose handlers run (SETTINGS_MAX_CONCURRENT_STREAMS).
  std::uint32_t max_streams_per_connection = 100;
  std::size_t max_streams_per_uid = 8192;
  std::size_t max_streams = 32768;
  /// Bytes of requests (headers and messages not read yet) held for one uid, and in all.
  std::size_t max_request_bytes_per_uid = std::size_t{16} << 20;
  std::size_t max_request_bytes = std::size_t{64} << 20;
  /// Bytes of answers that clients do not take; over it, the call ends that would need more, or its
  /// connection.
  std::size_t max_unread_bytes_per_uid = std::size_t{32} << 20;
  std::size_t max_unread_bytes = std::size_t{128} << 20;
  /// One message, after decompression.
  std::size_t max_message_bytes = std::size_t{4} << 20;
  /// The header list of a request, as RFC 9113 counts it (32 bytes on top of each field).
  std::size_t max_header_bytes = std::size_t{16} << 10;
  /// ServerCall::Write waits above this.
  std::size_t max_unsent_bytes = std::size_t{16} << 10;
  /// From accept to the client's preface and SETTINGS, and from the beginning of a header block to
  /// its end.
  std::chrono::milliseconds preface_timeout{10'000};
  /// A connection without a call is closed after this (with GOAWAY).
  std::chrono::milliseconds idle_timeout{300'000};
  /// The deadline of a unary call that brings none.
  std::chrono::milliseconds unary_timeout{30'000};
};

/// A gRPC server on a local Unix socket, or on TCP with TLS, for callers of which none is trusted:
/// a hostile connection is closed or kept within bounds, and costs the others nothing. Each call
/// knows the process it comes from, or the certificate of its client. Threads: all calls on the
/// executor's thread, which is the only one that runs it. Source: grpc/doc/PROTOCOL-HTTP2.md; RFC
/// 9113.
class Server {
 public:
  struct Stats {
    std::size_t connections = 0;  // open now
    std::size_t calls = 0;        // handlers running now
    std::uint64_t accepted = 0;   // connections served so far
    std::uint64_t calls_started = 0;
    std::uint64_t connections_refused = 0;  // over a cap
    std::uint64_t callers_unknown = 0;      // dropped because the kernel could not name the peer
    std::uint64_t calls_refused = 0;        // over a cap
    std::uint64_t floods_closed = 0;        // connections closed for abuse or broken HTTP/2
  };

  Server(asio::any_io_executor executor, ServerOptions options);
  /// Stop() has ended before, or Listen() never succeeded.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Serves `path` ("/SpiffeWorkloadAPI/FetchX509SVID") with `handler`. Before Listen. A second
  /// handler for one path is a bug and terminates.
  void Handle(std::string path, Handler handler);
  /// The same for a unary method: the call gets ServerOptions::unary_timeout, no message is
  /// kInvalidArgument, more than one kUnimplemented.
  void HandleUnary(std::string path, UnaryHandler handler);

  /// Has the handler of `call->path()` serve a call from inside this process: no connection, and
  /// none of the bounds of one. kUnimplemented for a path that nothing handles. The handler's
  /// exceptions come through.
  Task<Status> Serve(std::shared_ptr<ServerCall> call);

  /// Binds `socket_path` with `mode` and starts to serve. A missing parent folder is made (0755);
  /// the socket of an agent that is gone is replaced. Raises RLIMIT_NOFILE's soft limit to the hard
  /// one. Once per server. Errors: kAlreadyExists if a live server answers there or another agent
  /// is starting there; kInvalidArgument if the
  ///   path is too long for a socket or something that is not a socket stands there; as
  ///   CodeFromErrno.
  Result<void> Listen(const std::string& socket_path, mode_t mode);

  /// The context for the next connection, so that certificates change without one being dropped;
  /// null drops it. With ALPN "h2".
  using TlsContextSource = std::function<TlsServerContext()>;
  /// Binds an IP address in text and a port (0 for any) and starts to serve TLS there; instead of
  /// Listen, once, in a process that ignores SIGPIPE, as OpenSSL writes without asking. Returns the
  /// port. Errors: kInvalidArgument for a text that is no address;
  /// kAlreadyExists if the port is taken; as CodeFromErrno.
  Result<std::uint16_t> ListenTls(const std::string& address,
                                  std::uint16_t port,
                                  TlsContextSource context);

  /// Stops accepting, removes the socket file if it is still ours, says GOAWAY, ends streams with
  /// kUnavailable, lets unary calls finish until `deadline`, then cuts. Ends when every handler has
  /// ended. May be called twice.
  Task<void> Stop(Deadline deadline);

  Stats stats() const;

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

}  // namespace credence::h2
