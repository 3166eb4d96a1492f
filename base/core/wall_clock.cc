#include "base/core/wall_clock.h"

#include <sys/timerfd.h>

#include <algorithm>

#include <boost/asio/posix/stream_descriptor.hpp>

namespace credence {
namespace {

/// More than any schedule, and far from what overflows.
constexpr std::chrono::hours kLongestWait{24 * 365};

}  // namespace

UniqueFd WallTimer(std::chrono::nanoseconds duration) {
  using std::chrono::seconds;
  // An absolute time in the past would be no timer at all.
  duration =
      std::clamp<std::chrono::nanoseconds>(duration, std::chrono::nanoseconds(1), kLongestWait);
  UniqueFd timer(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC));
  timespec now{};
  if (!timer.valid() || clock_gettime(CLOCK_REALTIME, &now) != 0) {
    return {};
  }
  const auto end = seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec) + duration;
  const auto whole = std::chrono::duration_cast<seconds>(end);
  itimerspec when{};
  when.it_value.tv_sec = whole.count();
  when.it_value.tv_nsec = (end - whole).count();
  constexpr int kFlags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET;
  if (timerfd_settime(timer.get(), kFlags, &when, nullptr) != 0) {
    return {};
  }
  return timer;
}

Task<void> SleepOnWallClock(std::chrono::nanoseconds duration) {
  UniqueFd timer = WallTimer(duration);
  if (!timer.valid()) {
    co_await Sleep(std::clamp<std::chrono::nanoseconds>(
        duration, std::chrono::nanoseconds(0), kLongestBlindWait));
    co_return;
  }
  const auto executor = co_await asio::this_coro::executor;
  asio::posix::stream_descriptor readable(executor, timer.release());
  co_await readable.async_wait(asio::posix::descriptor_base::wait_read, asio::use_awaitable);
}

}  // namespace credence
