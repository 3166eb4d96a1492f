#pragma once

#include <cstddef>
#include <list>
#include <memory>

#include "base/core/deadline.h"
#include "base/core/latch.h"
#include "base/core/result.h"
#include "base/core/task.h"

namespace credence {

/// A fixed number of calls at a time; the rest wait in the order they came, up to a limit.
/// Threads: core thread. Permits may outlive the slots.
class CallSlots {
  struct State;

 public:
  /// One running call; gives its place to the next when destroyed.
  class Permit {
   public:
    explicit Permit(std::shared_ptr<State> state) : state_(std::move(state)) {}
    Permit(Permit&&) noexcept = default;
    Permit& operator=(Permit&&) = delete;
    ~Permit();

   private:
    std::shared_ptr<State> state_;
  };

  CallSlots(std::size_t limit, std::size_t max_waiting);

  /// Errors: kResourceExhausted if too many wait; kDeadlineExceeded.
  Task<Result<Permit>> Acquire(Deadline deadline);

 private:
  class Waiter;
  struct State {
    std::size_t limit;
    std::size_t max_waiting;
    std::size_t running = 0;
    std::list<Waiter*> waiting;

    void Release();
  };

  std::shared_ptr<State> state_;
};

}  // namespace credence
