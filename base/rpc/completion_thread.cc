#include "base/rpc/completion_thread.h"

#include <memory>

#include "base/core/check.h"

namespace credence {

CompletionThread::CompletionThread() : thread_([this] { Loop(); }) {}

CompletionThread::~CompletionThread() {
  CREDENCE_CHECK(steps_ == 0);
  queue_.Shutdown();
  thread_.join();
}

void CompletionThread::Loop() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
    const std::unique_ptr<RpcStep> step(static_cast<RpcStep*>(tag));
    // Counted before the post: what it wakes may end the last call and destroy this object, which
    // joins us first.
    --steps_;
    step->Finished(ok);
  }
}

}  // namespace credence
