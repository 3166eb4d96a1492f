#pragma once

#include <optional>
#include <string>
#include <utility>

#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/core/secret_bytes.h"
#include "base/core/task.h"
#include "base/rpc/channel.h"
#include "base/rpc/exchange.h"
#include "base/rpc/message.h"

namespace credence {

/// A method of a gRPC service by its path, "/package.Service/Method".
template <class Request, class Response>
struct RpcMethod {
  const char* path;
};

/// What a call came to.
template <class Response>
struct RpcOutcome {
  Result<Response> response;
  /// The serialized google.rpc.Status a server may send with a failure; usually "".
  std::string details;
};

/// Makes one unary call and waits for its end, at the latest at `deadline`. Does not wait for a
/// server that is away. Errors: the server's, its message cut to 1 KiB and foreign text;
/// kUnavailable without a connection, kDeadlineExceeded, kCancelled, kResourceExhausted for an
/// answer over 16 MiB, kInternal for one that breaks the rules. Cancellation: ends the call, then
/// the caller.
template <class Request, class Response>
Task<RpcOutcome<Response>> CallUnary(SharedRpcChannel channel,
                                     RpcMethod<Request, Response> method,
                                     Request request,
                                     Deadline deadline,
                                     RpcMetadata metadata) {
  RpcExchange exchange(std::move(channel), method.path, deadline, std::move(metadata));
  {
    std::string framed = FrameRequest(request);
    const WipeOnExit wipe(framed);
    exchange.Queue(framed);
    exchange.EndRequests();
  }
  RpcOutcome<Response> outcome;
  const bool started = co_await exchange.Start();
  std::optional<std::string> message;
  if (started) {
    message = co_await exchange.Read();
  }
  auto verdict = co_await exchange.Finish();
  outcome.details = std::move(verdict.details);
  if (!verdict.result.ok()) {
    outcome.response = std::move(verdict.result).error();
    co_return outcome;
  }
  if (!message) {
    outcome.response = Error(Code::kInternal, "the server ended the call without an answer");
    co_return outcome;
  }
  const WipeOnExit wipe(*message);
  Response response;
  if (auto parsed = ParseAnswer(*message, response); parsed.ok()) {
    outcome.response = std::move(response);
  } else {
    outcome.response = std::move(parsed).error();
  }
  co_return outcome;
}

template <class Request, class Response>
Task<RpcOutcome<Response>> CallUnary(SharedRpcChannel channel,
                                     RpcMethod<Request, Response> method,
                                     Request request,
                                     Deadline deadline) {
  return CallUnary(std::move(channel), method, std::move(request), deadline, RpcMetadata());
}

/// A call with messages in both directions. Start first; then Write and Read one at a time; when
/// one of them reports the end, or when done, Finish. Destroying it earlier cancels the call.
template <class Request, class Response>
class BidiStream {
 public:
  /// The whole call ends at `deadline`.
  BidiStream(SharedRpcChannel channel, RpcMethod<Request, Response> method, Deadline deadline)
      : exchange_(std::move(channel), method.path, deadline, {}) {}

  /// False: no call could be made; Finish tells why.
  Task<bool> Start() { return exchange_.Start(); }

  /// False: the server has ended the call; Finish tells why.
  Task<bool> Write(Request request) {
    std::string framed = FrameRequest(request);
    const WipeOnExit wipe(framed);
    exchange_.Queue(framed);
    return exchange_.Send();
  }

  /// nullopt: the server has ended the call; Finish tells whether well.
  Task<std::optional<Response>> Read() {
    auto message = co_await exchange_.Read();
    if (!message) {
      co_return std::nullopt;
    }
    const WipeOnExit wipe(*message);
    Response response;
    if (auto parsed = ParseAnswer(*message, response); !parsed.ok()) {
      exchange_.Fail(std::move(parsed).error());
      co_return std::nullopt;
    }
    co_return response;
  }

  /// Tells the server that no further request comes.
  Task<bool> WritesDone() {
    exchange_.EndRequests();
    return exchange_.Send();
  }

  /// Ends the call before the server does; Finish then reports kCancelled.
  void Cancel() { exchange_.Cancel(); }

  /// Waits for the server's verdict. Errors: as CallUnary.
  Task<RpcOutcome<void>> Finish() {
    auto verdict = co_await exchange_.Finish();
    co_return RpcOutcome<void>{std::move(verdict.result), std::move(verdict.details)};
  }

 private:
  RpcExchange exchange_;
};

}  // namespace credence
