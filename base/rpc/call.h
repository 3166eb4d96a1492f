#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/async_unary_call.h>
#include <grpcpp/support/status.h>

#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/rpc/channel.h"
#include "base/rpc/completion_thread.h"
#include "base/rpc/step.h"

namespace credence {

/// What a call came to.
template <class Response>
struct RpcOutcome {
  Result<Response> response;
  /// The serialized google.rpc.Status a server may send with a failure; usually "".
  std::string details;
};

/// Headers to send: lower-case name and value.
using RpcMetadata = std::vector<std::pair<std::string, std::string>>;

/// Success, or the error with its code kept and its message cut to 1 KiB. The message is foreign
/// text.
Result<void> ResultFromStatus(const grpc::Status& status);

/// Sets the deadline and headers of a call about to start.
void PrepareContext(grpc::ClientContext& context, Deadline deadline, const RpcMetadata& metadata);

/// The generated PrepareAsync… method of a unary call.
template <class Stub, class Request, class Response>
using UnaryMethod = std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> (Stub::*)(
    grpc::ClientContext*, const Request&, grpc::CompletionQueue*);

/// Makes one unary call and waits for its end, at the latest at `deadline`. Does not wait for a
/// server that is away. Errors: the server's; kUnavailable without a connection, kDeadlineExceeded,
/// kCancelled. Cancellation: ends the call, then the caller.
template <class Stub, class Request, class Response>
Task<RpcOutcome<Response>> CallUnary(CompletionThread& thread,
                                     SharedRpcChannel channel,
                                     UnaryMethod<Stub, Request, Response> method,
                                     Request request,
                                     Deadline deadline,
                                     RpcMetadata metadata) {
  struct State final : RpcCallState {
    Response response;
    grpc::Status status;
    std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader;
  };
  RpcOutcome<Response> outcome;
  if (deadline.Passed()) {
    // gRPC lets a call through now and then whose deadline is only just past.
    outcome.response = Error(Code::kDeadlineExceeded, "deadline reached before the call");
    co_return outcome;
  }
  const auto state = std::make_shared<State>();
  PrepareContext(state->context, deadline, metadata);
  Stub stub(channel);
  state->reader = (stub.*method)(&state->context, request, thread.queue());
  state->reader->StartCall();
  auto finish = [call = state.get()](void* tag) {
    call->reader->Finish(&call->response, &call->status, tag);
  };
  const bool finished = co_await RunStep(thread, state, finish);
  CREDENCE_CHECK(finished);

  outcome.details = state->status.error_details();
  auto result = ResultFromStatus(state->status);
  if (result.ok()) {
    outcome.response = std::move(state->response);
  } else {
    outcome.response = std::move(result).error();
  }
  co_return outcome;
}

template <class Stub, class Request, class Response>
Task<RpcOutcome<Response>> CallUnary(CompletionThread& thread,
                                     SharedRpcChannel channel,
                                     UnaryMethod<Stub, Request, Response> method,
                                     Request request,
                                     Deadline deadline) {
  return CallUnary(thread, std::move(channel), method, std::move(request), deadline, RpcMetadata());
}

/// A call with messages in both directions. Start first; then Write and Read one at a time; when
/// one of them reports the end, or when done, Finish. Destroying it earlier cancels the call.
template <class Request, class Response>
class BidiStream {
 public:
  /// The generated PrepareAsync… method of a bidirectional call.
  template <class Stub>
  using Method = std::unique_ptr<grpc::ClientAsyncReaderWriter<Request, Response>> (Stub::*)(
      grpc::ClientContext*, grpc::CompletionQueue*);

  /// The whole call ends at `deadline`. `thread` outlives this object.
  template <class Stub>
  BidiStream(CompletionThread& thread,
             SharedRpcChannel channel,
             Method<Stub> method,
             Deadline deadline)
      : thread_(thread), state_(std::make_shared<State>()) {
    PrepareContext(state_->context, deadline, {});
    Stub stub(channel);
    state_->stream = (stub.*method)(&state_->context, thread.queue());
  }

  /// False: no call could be made; Finish tells why.
  Task<bool> Start() {
    auto start = [call = state_.get()](void* tag) { call->stream->StartCall(tag); };
    return RunStep(thread_, state_, start);
  }

  /// False: the server has ended the call; Finish tells why.
  Task<bool> Write(Request request) {
    state_->request = std::move(request);
    auto write = [call = state_.get()](void* tag) { call->stream->Write(call->request, tag); };
    return RunStep(thread_, state_, write);
  }

  /// nullopt: the server has ended the call; Finish tells whether well.
  Task<std::optional<Response>> Read() {
    state_->response = Response();
    auto read = [call = state_.get()](void* tag) { call->stream->Read(&call->response, tag); };
    const bool ok = co_await RunStep(thread_, state_, read);
    if (!ok) {
      co_return std::nullopt;
    }
    co_return std::move(state_->response);
  }

  /// Tells the server that no further request comes.
  Task<bool> WritesDone() {
    auto done = [call = state_.get()](void* tag) { call->stream->WritesDone(tag); };
    return RunStep(thread_, state_, done);
  }

  /// Ends the call before the server does; Finish then reports kCancelled.
  void Cancel() { state_->context.TryCancel(); }

  /// Waits for the server's verdict. Errors: as CallUnary.
  Task<RpcOutcome<void>> Finish() {
    auto finish = [call = state_.get()](void* tag) { call->stream->Finish(&call->status, tag); };
    const bool finished = co_await RunStep(thread_, state_, finish);
    CREDENCE_CHECK(finished);
    RpcOutcome<void> outcome;
    outcome.response = ResultFromStatus(state_->status);
    outcome.details = state_->status.error_details();
    co_return outcome;
  }

 private:
  struct State final : RpcCallState {
    Request request;
    Response response;
    grpc::Status status;
    std::unique_ptr<grpc::ClientAsyncReaderWriter<Request, Response>> stream;
  };

  CompletionThread& thread_;
  std::shared_ptr<State> state_;
};

}  // namespace credence
