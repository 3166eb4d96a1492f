#include "base/h2/timer_queue.h"

#include <optional>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/task_group.h"
#include "base/core/testing/run_task.h"

namespace credence::h2 {
namespace {

using std::chrono::milliseconds;

class TimerQueueTest : public testing::Test {
 protected:
  TimerQueueTest() { tasks_.Spawn("timers", queue_.Run()); }
  ~TimerQueueTest() override { RunTask(io_, tasks_.Stop()); }

  static SteadyTime In(milliseconds wait) { return Deadline::After(wait).time(); }

  asio::io_context io_;
  TimerQueue queue_{io_.get_executor()};
  TaskGroup tasks_{io_.get_executor()};
  std::vector<int> ran_;
};

TEST_F(TimerQueueTest, RunsActionsInTheOrderOfTheirTimes) {
  TimerQueue::Entry late(queue_);
  TimerQueue::Entry soon(queue_);
  TimerQueue::Entry never(queue_);
  late.Set(In(milliseconds(20)), [&] { ran_.push_back(2); });
  soon.Set(In(milliseconds(5)), [&] { ran_.push_back(1); });
  never.Set(In(milliseconds(10)), [&] { ran_.push_back(3); });
  never.Cancel();
  RunTask(io_, Sleep(milliseconds(40)));
  EXPECT_THAT(ran_, testing::ElementsAre(1, 2));
}

TEST_F(TimerQueueTest, AnEntrySetWhileWaitingForALaterOneIsOnTime) {
  TimerQueue::Entry late(queue_);
  late.Set(In(std::chrono::hours(1)), [&] { ran_.push_back(2); });
  RunTask(io_, Sleep(milliseconds(1)));
  TimerQueue::Entry soon(queue_);
  soon.Set(In(milliseconds(5)), [&] { ran_.push_back(1); });
  RunTask(io_, Sleep(milliseconds(20)));
  EXPECT_THAT(ran_, testing::ElementsAre(1));
}

TEST_F(TimerQueueTest, AnActionMayDestroyItsEntryOrSetItAgain) {
  std::optional<TimerQueue::Entry> own;
  own.emplace(queue_);
  own->Set(In(milliseconds(1)), [&] {
    own.reset();
    ran_.push_back(1);
  });
  TimerQueue::Entry again(queue_);
  again.Set(In(milliseconds(2)), [&] {
    ran_.push_back(2);
    again.Set(In(milliseconds(1)), [&] { ran_.push_back(3); });
  });
  RunTask(io_, Sleep(milliseconds(20)));
  EXPECT_THAT(ran_, testing::ElementsAre(1, 2, 3));
}

}  // namespace
}  // namespace credence::h2
