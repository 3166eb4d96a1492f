#include "base/core/wall_clock.h"

#include <sys/resource.h>

#include <cerrno>
#include <ctime>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <gtest/gtest.h>

#include "base/core/testing/run_task.h"

namespace credence {
namespace {

using boost::asio::experimental::awaitable_operators::operator||;
using std::chrono::hours;
using std::chrono::milliseconds;

SteadyTime Now() {
  return std::chrono::steady_clock::now();
}

TEST(SleepOnWallClock, EndsAfterTheDuration) {
  const SteadyTime start = Now();
  RunTask(SleepOnWallClock(milliseconds(30)));
  EXPECT_GE(Now() - start, milliseconds(29));
  EXPECT_LT(Now() - start, milliseconds(2000));
}

TEST(SleepOnWallClock, EndsAtOnceForAPastTime) {
  const SteadyTime start = Now();
  RunTask(SleepOnWallClock(-hours(1)));
  EXPECT_LT(Now() - start, milliseconds(1000));
}

TEST(SleepOnWallClock, TakesTheLongestDuration) {
  const auto first =
      RunTask(SleepOnWallClock(std::chrono::nanoseconds::max()) || Sleep(milliseconds(20)));
  EXPECT_EQ(first.index(), 1U);
}

TEST(SleepOnWallClock, CanBeCancelled) {
  const auto first = RunTask(SleepOnWallClock(hours(1)) || Sleep(milliseconds(20)));
  EXPECT_EQ(first.index(), 1U);
}

/// To what it is, so that nothing else on the machine notices. False without the right to.
bool SetTheClock() {
  timespec now{};
  return clock_gettime(CLOCK_REALTIME, &now) == 0 && clock_settime(CLOCK_REALTIME, &now) == 0;
}

Task<void> SetTheClockSoon(bool& set) {
  co_await Sleep(milliseconds(20));
  set = SetTheClock();
  co_await Sleep(hours(1));
}

TEST(SleepOnWallClock, EndsWhenTheClockIsSet) {
  bool set = false;
  const SteadyTime start = Now();
  const auto first =
      RunTask(SleepOnWallClock(hours(1)) || SetTheClockSoon(set) || Sleep(std::chrono::seconds(2)));
  if (!set) {
    std::puts("the clock cannot be set here: nothing to see");
    return;
  }
  EXPECT_EQ(first.index(), 0U);
  EXPECT_LT(Now() - start, milliseconds(1500));
}

}  // namespace
}  // namespace credence
