#pragma once

#include <functional>
#include <map>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/core/clock.h"
#include "base/core/task.h"

namespace credence::h2 {

/// Many deadlines on one timer, which fires only when one of them is due: thousands of idle
/// connections cost no CPU. Threads: core thread.
class TimerQueue {
 public:
  using Action = std::function<void()>;

  /// A waiting action. It lives in the object that the action works on: destroying it takes the
  /// action off the queue, so that an action never outlives what it points at. Not movable for the
  /// same reason.
  class Entry {
   public:
    explicit Entry(TimerQueue& queue) : queue_(queue) {}
    ~Entry() { Cancel(); }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    /// Runs `action` once at `when`, in place of what was set before. The action may set or destroy
    /// this entry.
    void Set(SteadyTime when, Action action);
    void Cancel();

   private:
    friend class TimerQueue;
    TimerQueue& queue_;
    bool waiting_ = false;
    std::multimap<SteadyTime, std::pair<Action, Entry*>>::iterator at_;
  };

  explicit TimerQueue(asio::any_io_executor executor)
      : timer_(std::move(executor), SteadyTime::max()) {}
  /// No entry waits any more.
  ~TimerQueue();
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  /// Runs due actions until cancelled.
  Task<void> Run();

 private:
  void RunDue(SteadyTime now);

  std::multimap<SteadyTime, std::pair<Action, Entry*>> entries_;
  asio::steady_timer timer_;
};

}  // namespace credence::h2
