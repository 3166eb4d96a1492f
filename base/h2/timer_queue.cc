#include "base/h2/timer_queue.h"

#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>

#include "base/core/check.h"

namespace credence::h2 {

void TimerQueue::Entry::Set(SteadyTime when, Action action) {
  Cancel();
  at_ = queue_.entries_.emplace(when, std::pair(std::move(action), this));
  waiting_ = true;
  if (at_ == queue_.entries_.begin()) {
    // Wakes Run(), which then waits for this one.
    queue_.timer_.cancel();
  }
}

void TimerQueue::Entry::Cancel() {
  if (waiting_) {
    queue_.entries_.erase(at_);
    waiting_ = false;
  }
}

TimerQueue::~TimerQueue() {
  CREDENCE_CHECK(entries_.empty());
}

void TimerQueue::RunDue(SteadyTime now) {
  while (!entries_.empty() && entries_.begin()->first <= now) {
    const auto due = entries_.begin();
    const Action action = std::move(due->second.first);
    due->second.second->waiting_ = false;
    entries_.erase(due);
    action();
  }
}

Task<void> TimerQueue::Run() {
  for (;;) {
    RunDue(SystemClock().SteadyNow());
    timer_.expires_at(entries_.empty() ? SteadyTime::max() : entries_.begin()->first);
    boost::system::error_code woken;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    // A new first entry and cancellation of this task look alike here.
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      co_return;
    }
  }
}

}  // namespace credence::h2
