#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include "base/core/result.h"
#include "base/core/task.h"

namespace credence {

/// Lets blocking work onto a pool, few jobs at a time and fairly between users: the users that have
/// work waiting take turns, so one that asks for a lot waits behind itself only. Threads: core
/// thread. The pool outlives the gate and is joined before the core's io_context is destroyed.
class PoolGate {
 public:
  struct Options {
    /// Jobs on the pool at a time: in all, and for one user. Leave threads for others.
    std::size_t running = 2;
    std::size_t running_per_uid = 1;
    /// Jobs waiting at a time.
    std::size_t waiting = 1024;
    std::size_t waiting_per_uid = 64;
  };

  PoolGate(asio::any_io_executor core, asio::thread_pool& pool, Options options);
  /// Jobs that wait are dropped without `done`; those that run end, and their `done` is not called.
  ~PoolGate();
  PoolGate(const PoolGate&) = delete;
  PoolGate& operator=(const PoolGate&) = delete;

  /// Runs `work` on the pool when it is the turn of `uid`, then `done` on the core thread; never
  /// inside this call. Errors: kResourceExhausted if too many jobs wait.
  Result<void> Submit(uid_t uid, std::function<void()> work, std::function<void()> done);

 private:
  class State;
  std::shared_ptr<State> state_;
};

}  // namespace credence
