#include "base/core/task.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/system/system_error.hpp>
#include <gtest/gtest.h>

#include "base/core/backoff.h"
#include "base/core/task_group.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"
#include "base/core/watch.h"

namespace credence {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using testing::ElementsAre;

using Events = std::vector<std::string>;

/// Sleeps for long, and writes down how that ended.
Task<void> SleepLong(Events& events, std::string name) {
  events.push_back(name + " starts");
  try {
    co_await Sleep(hours(1));
    events.push_back(name + " ends");
  } catch (const boost::system::system_error& failure) {
    events.push_back(name +
                     (failure.code() == asio::error::operation_aborted ? " cancelled" : " fails"));
    throw;
  }
}

Task<void> Finish(Events& events, std::string name) {
  events.push_back(name + " runs");
  co_return;
}

Task<void> Throw() {
  throw std::runtime_error("a bug");
  co_return;
}

Task<void> StopGroup(TaskGroup& group) {
  co_await group.Stop();
}

TEST(TaskGroupTest, TasksStartLaterAndEndOnTheirOwn) {
  asio::io_context io;
  TaskGroup group(io.get_executor());
  Events events;
  group.Spawn("a", Finish(events, "a"));
  group.Spawn("b", Finish(events, "b"));
  EXPECT_THAT(events, ElementsAre());
  EXPECT_EQ(group.size(), 2U);
  io.run();
  EXPECT_THAT(events, ElementsAre("a runs", "b runs"));
  EXPECT_TRUE(group.empty());
}

TEST(TaskGroupTest, StopCancelsInTheMiddleAndWaits) {
  asio::io_context io;
  TaskGroup group(io.get_executor());
  Events events;
  group.Spawn("a", SleepLong(events, "a"));
  group.Spawn("b", SleepLong(events, "b"));
  io.poll();
  EXPECT_THAT(events, ElementsAre("a starts", "b starts"));
  RunTask(io, StopGroup(group));
  EXPECT_THAT(events, ElementsAre("a starts", "b starts", "a cancelled", "b cancelled"));
  EXPECT_TRUE(group.empty());
}

TEST(TaskGroupTest, StoppingTwiceIsFine) {
  asio::io_context io;
  TaskGroup group(io.get_executor());
  Events events;
  group.Spawn("a", SleepLong(events, "a"));
  io.poll();
  RunTask(io, StopGroup(group));
  RunTask(io, StopGroup(group));
  EXPECT_TRUE(group.empty());
}

TEST(TaskGroupTest, TwoMayStopAtOnce) {
  asio::io_context io;
  TaskGroup group(io.get_executor());
  TaskGroup stoppers(io.get_executor());
  Events events;
  group.Spawn("a", SleepLong(events, "a"));
  io.poll();
  stoppers.Spawn("one", StopGroup(group));
  stoppers.Spawn("two", StopGroup(group));
  io.restart();
  io.run_for(std::chrono::seconds(10));
  EXPECT_TRUE(group.empty());
  EXPECT_TRUE(stoppers.empty());
}

TEST(TaskGroupTest, ATaskCancelledBeforeItRanNeverRuns) {
  asio::io_context io;
  TaskGroup group(io.get_executor());
  Events events;
  group.Spawn("a", Finish(events, "a"));
  RunTask(io, StopGroup(group));
  EXPECT_THAT(events, ElementsAre());
  EXPECT_TRUE(group.empty());
}

TEST(TaskGroupTest, CancelDoesNotWait) {
  asio::io_context io;
  TaskGroup group(io.get_executor());
  Events events;
  group.Spawn("a", SleepLong(events, "a"));
  io.poll();
  group.Cancel();
  EXPECT_EQ(group.size(), 1U);
  io.restart();
  io.run_for(std::chrono::seconds(10));
  EXPECT_TRUE(group.empty());
}

TEST(TaskGroupTest, AThrowingTaskHarmsNoOther) {
  asio::io_context io;
  TaskGroup group(io.get_executor());
  Events events;
  group.Spawn("bad", Throw());
  group.Spawn("good", Finish(events, "good"));
  io.run();
  EXPECT_THAT(events, ElementsAre("good runs"));
  EXPECT_TRUE(group.empty());
}

TEST(TaskGroupDeathTest, DestroyingARunningGroupTerminates) {
  EXPECT_DEATH(
      {
        asio::io_context io;
        Events events;
        TaskGroup group(io.get_executor());
        group.Spawn("a", SleepLong(events, "a"));
      },
      "running_");
}

Task<Result<int>> AnswerAfter(milliseconds delay, int answer) {
  co_await Sleep(delay);
  co_return answer;
}

TEST(WithDeadlineTest, AnAnswerInTimeIsPassedOn) {
  EXPECT_THAT(RunTask(WithDeadline(Deadline::After(hours(1)), AnswerAfter(milliseconds(1), 7))),
              IsOkAndHolds(7));
}

Task<Result<int>> FailAtOnce() {
  co_return Error(Code::kNotFound, "no");
}

TEST(WithDeadlineTest, AFastFailureIsNoTimeout) {
  EXPECT_THAT(RunTask(WithDeadline(Deadline::After(hours(1)), FailAtOnce())),
              FailsWithCode(Code::kNotFound));
}

TEST(WithDeadlineTest, TheDeadlineCancelsAndFails) {
  EXPECT_THAT(RunTask(WithDeadline(Deadline::After(milliseconds(5)), AnswerAfter(hours(1), 7))),
              FailsWithCode(Code::kDeadlineExceeded));
  EXPECT_THAT(RunTask(WithDeadline(Deadline::After(-milliseconds(5)), AnswerAfter(hours(1), 7))),
              FailsWithCode(Code::kDeadlineExceeded));
}

struct Threads {
  std::thread::id before;
  std::thread::id work;
  std::thread::id after;
};

Task<Threads> WhereDoesItRun(asio::thread_pool& pool) {
  Threads threads;
  threads.before = std::this_thread::get_id();
  threads.work = co_await RunOn(pool, [] { return std::this_thread::get_id(); });
  threads.after = std::this_thread::get_id();
  co_return threads;
}

TEST(RunOnTest, WorksOnThePoolAndResumesAtHome) {
  asio::io_context io;
  asio::thread_pool pool(1);
  const Threads threads = RunTask(io, WhereDoesItRun(pool));
  EXPECT_EQ(threads.before, std::this_thread::get_id());
  EXPECT_NE(threads.work, threads.before);
  EXPECT_EQ(threads.after, threads.before);
}

Task<void> WorkUntil(asio::thread_pool& pool,
                     std::shared_ptr<std::atomic<int>> stage,
                     Events& events) {
  // Named first: GCC 12 destroys a capturing lambda written inside a co_await expression twice.
  auto work = [stage] {
    *stage = 1;
    stage->notify_all();
    stage->wait(1);
    return 0;
  };
  (void)co_await RunOn(pool, std::move(work));
  events.push_back("resumed");
  co_await Sleep(milliseconds(0));
  events.push_back("went on");
}

TEST(RunOnTest, CancellationLetsTheWorkEndAndThenTakesEffect) {
  asio::io_context io;
  asio::thread_pool pool(1);
  TaskGroup group(io.get_executor());
  Events events;
  const auto stage = std::make_shared<std::atomic<int>>(0);
  group.Spawn("work", WorkUntil(pool, stage, events));
  io.run_one();
  while (stage->load() == 0) {
    io.poll();
    stage->wait(0);
  }
  group.Cancel();
  io.restart();
  io.poll();
  EXPECT_EQ(group.size(), 1U);
  *stage = 2;
  stage->notify_all();
  RunTask(io, StopGroup(group));
  EXPECT_THAT(events, ElementsAre("resumed"));
}

Task<void> Follow(Watch<int>& watch, std::vector<int>& seen, int until) {
  std::uint64_t version = 0;
  while (seen.empty() || seen.back() != until) {
    version = co_await watch.Changed(version);
    seen.push_back(watch.value());
  }
}

TEST(WatchTest, EveryFollowerSeesTheNewestValue) {
  asio::io_context io;
  TaskGroup group(io.get_executor());
  Watch<int> watch(io.get_executor(), 1);
  std::vector<int> first;
  std::vector<int> second;
  group.Spawn("first", Follow(watch, first, 9));
  group.Spawn("second", Follow(watch, second, 9));
  io.poll();
  watch.Set(2);
  watch.Set(3);
  io.poll();
  watch.Set(9);
  io.run_for(std::chrono::seconds(10));
  EXPECT_THAT(first, ElementsAre(1, 3, 9));
  EXPECT_THAT(second, ElementsAre(1, 3, 9));
  EXPECT_TRUE(group.empty());
}

TEST(WatchTest, AFollowerIsCancelledInTheMiddle) {
  asio::io_context io;
  TaskGroup group(io.get_executor());
  Watch<int> watch(io.get_executor(), 1);
  std::vector<int> seen;
  group.Spawn("follower", Follow(watch, seen, 9));
  io.poll();
  RunTask(io, StopGroup(group));
  EXPECT_THAT(seen, ElementsAre(1));
}

TEST(WatchTest, ASetAtTheMomentOfCancellationKeepsNobodyAlive) {
  asio::io_context io;
  TaskGroup group(io.get_executor());
  Watch<int> watch(io.get_executor(), 1);
  std::vector<int> seen;
  group.Spawn("follower", Follow(watch, seen, 9));
  io.poll();
  watch.Set(2);
  group.Cancel();
  RunTask(io, StopGroup(group));
  EXPECT_TRUE(group.empty());
}

Task<Result<std::uint64_t>> NextVersion(Watch<int>& watch, std::uint64_t seen) {
  const std::uint64_t version = co_await watch.Changed(seen);
  co_return version;
}

TEST(WatchTest, WaitingEndsAtADeadline) {
  asio::io_context io;
  Watch<int> watch(io.get_executor(), 1);
  EXPECT_THAT(RunTask(io, WithDeadline(Deadline::After(milliseconds(5)), NextVersion(watch, 1))),
              FailsWithCode(Code::kDeadlineExceeded));
  EXPECT_THAT(RunTask(io, WithDeadline(Deadline::After(hours(1)), NextVersion(watch, 0))),
              IsOkAndHolds(1U));
}

TEST(BackoffTest, GrowsToTheCapAndStartsAgain) {
  Backoff backoff({milliseconds(100), milliseconds(1000), 2.0, 0.0});
  std::vector<std::int64_t> waits;
  for (int i = 0; i < 6; ++i) {
    waits.push_back(backoff.Next().count());
  }
  EXPECT_THAT(waits, ElementsAre(100, 200, 400, 800, 1000, 1000));
  backoff.Reset();
  EXPECT_EQ(backoff.Next(), milliseconds(100));
}

TEST(BackoffTest, JitterStaysInItsBounds) {
  bool differs = false;
  for (int i = 0; i < 1000; ++i) {
    Backoff backoff({milliseconds(1000), milliseconds(1000), 2.0, 0.1});
    const milliseconds wait = backoff.Next();
    EXPECT_GE(wait, milliseconds(900));
    EXPECT_LE(wait, milliseconds(1100));
    differs = differs || wait != milliseconds(1000);
    const milliseconds jittered = Jitter(milliseconds(1000), 0.5);
    EXPECT_GE(jittered, milliseconds(500));
    EXPECT_LE(jittered, milliseconds(1500));
  }
  EXPECT_TRUE(differs);
}

}  // namespace
}  // namespace credence
