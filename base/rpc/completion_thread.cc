#include "base/rpc/completion_thread.h"

#include <memory>

#include <grpc/support/log.h>

#include "base/core/check.h"
#include "base/core/log.h"

namespace credence {
namespace {

/// gRPC writes to stderr by itself. What matters of it also comes as the error of a call, so it is
/// for debugging.
void LogForGrpc(gpr_log_func_args* line) {
  LogDebug("gRPC", {{"text", line->message}});
}

}  // namespace

CompletionThread::CompletionThread() : thread_([this] { Loop(); }) {
  gpr_set_log_function(&LogForGrpc);
}

CompletionThread::~CompletionThread() {
  CREDENCE_CHECK(steps_ == 0);
  queue_.Shutdown();
  thread_.join();
}

void CompletionThread::Loop() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
    // Counted before the post: what it wakes may end the last call and destroy this object, which
    // joins us first.
    --steps_;
    const std::unique_ptr<RpcStep> step(static_cast<RpcStep*>(tag));
    step->Finished(ok);
  }
}

}  // namespace credence
