#pragma once

#include <concepts>
#include <memory>
#include <utility>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <grpcpp/client_context.h>

#include "base/core/task.h"
#include "base/rpc/completion_thread.h"

namespace credence {

/// What gRPC works on during a call. Steps under way share it, so it outlives a caller that is torn
/// down.
struct RpcCallState {
  virtual ~RpcCallState() = default;
  grpc::ClientContext context;
};

namespace rpc_detail {

/// Carries the waiting coroutine from gRPC's thread back to its own.
template <class Handler>
class HandlerStep final : public RpcStep {
 public:
  HandlerStep(Handler handler, std::shared_ptr<RpcCallState> call)
      : home_(asio::get_associated_executor(handler)),
        call_(std::move(call)),
        handler_(std::move(handler)) {}

  void Finished(bool ok) override {
    auto home = home_.get_executor();
    asio::post(home,
               [guard = std::move(home_),
                call = std::move(call_),
                handler = std::move(handler_),
                ok]() mutable {
                 // Before the coroutine runs on: a cancellation must not reach a call that is over.
                 if (auto slot = asio::get_associated_cancellation_slot(handler);
                     slot.is_connected()) {
                   slot.clear();
                 }
                 std::move(handler)(ok);
               });
  }

 private:
  asio::executor_work_guard<asio::associated_executor_t<Handler>> home_;
  std::shared_ptr<RpcCallState> call_;
  Handler handler_;
};

}  // namespace rpc_detail

/// Runs one step of `call`: `start` receives the tag to give to gRPC. Returns gRPC's "ok".
/// Cancellation cancels the call and waits for gRPC to let go of it.
template <std::invocable<void*> Start>
Task<bool> RunStep(CompletionThread& thread, std::shared_ptr<RpcCallState> call, Start start) {
  auto initiate = [&thread](auto handler, std::shared_ptr<RpcCallState> state, Start begin) {
    if (auto slot = asio::get_associated_cancellation_slot(handler); slot.is_connected()) {
      slot.assign([state](asio::cancellation_type type) {
        if ((type & asio::cancellation_type::terminal) != asio::cancellation_type::none) {
          state->context.TryCancel();
        }
      });
    }
    using Step = rpc_detail::HandlerStep<decltype(handler)>;
    RpcStep* step = new Step(std::move(handler), std::move(state));
    // After its construction: the count is also what orders it before the completion thread's use
    // of it.
    thread.StepStarted();
    begin(static_cast<void*>(step));
  };
  return asio::async_initiate<const asio::use_awaitable_t<>, void(bool)>(
      initiate, asio::use_awaitable, std::move(call), std::move(start));
}

}  // namespace credence
