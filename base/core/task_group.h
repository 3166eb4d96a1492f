#pragma once

#include <cstddef>
#include <list>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/core/task.h"

namespace credence {

/// Owns running tasks, so that none is orphaned: Stop() cancels all of them and waits for their
/// end. Destroying a group with running tasks is a bug and terminates. Threads: all calls on the
/// executor's thread.
class TaskGroup {
 public:
  explicit TaskGroup(asio::any_io_executor executor);
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  /// Starts `task` soon (never inside this call). `name` is for the log line when the task ends by
  /// an exception other than cancellation, which is a bug. Returns the signal that cancels this one
  /// task; it lives until the task has ended.
  asio::cancellation_signal& Spawn(std::string name, Task<void> task);

  /// Cancels every task and waits until all have ended. May be called more than once.
  Task<void> Stop();

  /// Cancels every task without waiting; the owner waits with Stop() later.
  void Cancel();

  std::size_t size() const { return running_.size(); }
  bool empty() const { return running_.empty(); }

 private:
  struct Running {
    std::string name;
    asio::cancellation_signal cancel;
  };

  void Ended(std::list<Running>::iterator task, std::exception_ptr error);

  asio::any_io_executor executor_;
  std::list<Running> running_;
  asio::steady_timer idle_;
};

}  // namespace credence
