#pragma once

#include <list>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/system_error.hpp>

#include "base/core/task.h"

namespace credence {

/// Something that happens once and that any number of tasks wait for, each with a deadline of its
/// own. Share it by std::shared_ptr: it must outlive its waiters. Threads: the executor's thread
/// only.
class Latch {
 public:
  Latch() = default;
  Latch(const Latch&) = delete;
  Latch& operator=(const Latch&) = delete;

  bool is_set() const { return set_; }

  /// Wakes every waiter; later waits return at once.
  void Set() {
    set_ = true;
    for (asio::steady_timer* waiter : waiters_) {
      waiter->cancel();
    }
  }

  /// True once set, false if `deadline` passes first. Ends early only by cancellation.
  Task<bool> Wait(Deadline deadline) {
    if (set_) {
      co_return true;
    }
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor, deadline.time());
    const Registration registration(waiters_, timer);
    boost::system::error_code woken;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    // Cancellation of this task and a wake-up look alike here; the state of the task tells them
    // apart.
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      throw boost::system::system_error(asio::error::operation_aborted);
    }
    co_return set_;
  }

 private:
  using Waiters = std::list<asio::steady_timer*>;

  class Registration {
   public:
    Registration(Waiters& waiters, asio::steady_timer& timer)
        : waiters_(waiters), place_(waiters.insert(waiters.end(), &timer)) {}
    ~Registration() { waiters_.erase(place_); }
    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;

   private:
    Waiters& waiters_;
    Waiters::iterator place_;
  };

  bool set_ = false;
  Waiters waiters_;
};

}  // namespace credence
