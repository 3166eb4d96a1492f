#pragma once

#include <atomic>
#include <cstddef>
#include <thread>

#include <grpcpp/completion_queue.h>

namespace credence {

/// One step of a gRPC call, finished on gRPC's side.
class RpcStep {
 public:
  virtual ~RpcStep() = default;
  /// Called once, on the completion thread, which deletes the step afterwards; only posts to the
  /// step's home executor.
  virtual void Finished(bool ok) = 0;
};

/// Waits for gRPC and passes on what has finished: one thread for all calls of the process, asleep
/// between them (gRPC's callback interface would wake several times a second). Destroying it with a
/// call under way is a bug and terminates: stop the tasks that call first.
class CompletionThread {
 public:
  CompletionThread();
  ~CompletionThread();
  CompletionThread(const CompletionThread&) = delete;
  CompletionThread& operator=(const CompletionThread&) = delete;

  grpc::CompletionQueue* queue() { return &queue_; }

  /// For base/rpc: a step was handed to gRPC and will finish.
  void StepStarted() { ++steps_; }

 private:
  void Loop();

  grpc::CompletionQueue queue_;
  std::atomic<std::size_t> steps_ = 0;
  std::thread thread_;
};

}  // namespace credence
