#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/core/secret_bytes.h"
#include "base/core/task.h"
#include "base/h2/status.h"
#include "base/process/caller.h"

namespace credence::h2 {

/// Who is at the other end of a TLS connection.
struct TlsPeer {
  /// Its certificates (DER, leaf first), which TlsServerOptions::accepts_client took; empty if it
  /// showed none.
  std::vector<std::string> chain;
  /// Its IP address in text.
  std::string address;
};

/// One gRPC call as its handler sees it. The call may end under a running handler (reset, deadline,
/// hang-up, shutdown): the handler is then cancelled, and whatever it still does with the call
/// fails or is ignored, never unsafe. Handlers are tested with a fake of this interface. Threads:
/// core thread.
class ServerCall {
 public:
  virtual ~ServerCall() = default;
  ServerCall(const ServerCall&) = delete;
  ServerCall& operator=(const ServerCall&) = delete;

  /// The process that opened the connection, identified once at accept. Null on a TLS connection
  /// and only there.
  virtual const std::shared_ptr<const Caller>& caller() const = 0;
  /// Null on a Unix socket and only there.
  virtual std::shared_ptr<const TlsPeer> tls_peer() const { return nullptr; }
  /// "/package.Service/Method".
  virtual std::string_view path() const = 0;
  /// All values of a metadata key (lower case) in the order they came; "-bin" values still in
  /// base64. Reserved keys
  /// (":path", "content-type", "grpc-...", "te") are not metadata and not here. The views live as
  /// long as the call.
  virtual std::vector<std::string_view> Metadata(std::string_view key) const = 0;
  /// The client's grpc-timeout, or ServerOptions::unary_timeout for a unary call without one;
  /// time_point::max() for a stream without one.
  virtual Deadline deadline() const = 0;

  /// The next request message, decompressed; nullopt once the client has half-closed. One reader at
  /// a time. Errors: kCancelled if the call has ended; kResourceExhausted for a message over the
  /// limit; kInvalidArgument or
  ///   kInternal for bytes that are no gRPC messages. After an error the call is over: return it as
  ///   the status.
  virtual Task<Result<std::optional<std::string>>> Read() = 0;

  /// Queues one response message, then waits while more than ServerOptions::max_unsent_bytes of
  /// this call's are unsent. A slow reader thus holds up its own handler only, which should then
  /// send the newest state and skip those between. The bytes are shared, not copied per call. One
  /// writer at a time; a Read may run beside it. Errors: kCancelled if the call has ended;
  ///   kResourceExhausted if this user leaves too many bytes of answers unread.
  virtual Task<Result<void>> Write(SharedSecret message) = 0;

  /// Has the client make its next calls on another connection (GOAWAY): it will never be served
  /// better on this one. Calls that are open go on.
  virtual void AskToReconnect() {}

 protected:
  ServerCall() = default;
};

/// Serves one call of any kind; the returned status ends it. Cancelled (terminal) when the call
/// ends first.
using Handler = std::function<Task<Status>(std::shared_ptr<ServerCall>)>;

/// What a unary call answers: a message, or why not. `co_return Error(...)`, `co_return message`,
/// `co_return Status{...}`.
struct UnaryReply {
  // NOLINTBEGIN(google-explicit-constructor): each is for `co_return value;`.
  UnaryReply(SharedSecret reply) : message(std::move(reply)) {}
  UnaryReply(const Error& error) : status(Status::From(error)) {}
  UnaryReply(Status failure) : status(std::move(failure)) {}
  UnaryReply(Result<SharedSecret> result) {
    if (result.ok()) {
      message = *std::move(result);
    } else {
      status = Status::From(result.error());
    }
  }
  // NOLINTEND(google-explicit-constructor): as said above.

  Status status;
  /// Sent when `status` is kOk, and then never null.
  SharedSecret message;
};

/// Serves one unary call: exactly one request message in, one reply out.
using UnaryHandler =
    std::function<Task<UnaryReply>(std::shared_ptr<ServerCall> call, std::string request)>;

}  // namespace credence::h2
