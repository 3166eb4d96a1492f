#include "base/h2/turn_queue.h"

#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/task_group.h"
#include "base/core/testing/run_task.h"

namespace credence::h2 {
namespace {

using testing::ElementsAre;

class TurnQueueTest : public testing::Test {
 protected:
  ~TurnQueueTest() override { RunTask(io_, tasks_.Stop()); }

  void Work(std::uint64_t group, std::uint64_t member, std::string name) {
    tasks_.Spawn("work", Run(this, group, member, std::move(name)));
  }

  static Task<void> Run(TurnQueueTest* test,
                        std::uint64_t group,
                        std::uint64_t member,
                        std::string name) {
    if (!test->queue_.TakesNow()) {
      co_await test->queue_.Wait(group, member);
    }
    test->done_.push_back(std::move(name));
  }

  asio::io_context io_;
  TaskGroup tasks_{io_.get_executor()};
  TurnQueue queue_{io_.get_executor(), 2};
  std::vector<std::string> done_;
};

TEST_F(TurnQueueTest, AFewRunAtOnce) {
  EXPECT_TRUE(queue_.TakesNow());
  EXPECT_TRUE(queue_.TakesNow());
  EXPECT_FALSE(queue_.TakesNow());
  io_.run();
  EXPECT_TRUE(queue_.TakesNow());
}

TEST_F(TurnQueueTest, WhoComesLateIsNotBehindAllOfACrowd) {
  for (const auto* name : {"a1", "a2", "a3", "a4", "a5"}) {
    Work(1, 1, name);
  }
  Work(2, 9, "b1");
  io_.run();
  EXPECT_THAT(done_, ElementsAre("a1", "a2", "a3", "b1", "a4", "a5"));
}

TEST_F(TurnQueueTest, OtherWorkRunsBetweenTurns) {
  for (int i = 0; i < 6; ++i) {
    Work(1, static_cast<std::uint64_t>(i), "a");
  }
  io_.poll_one();
  asio::post(io_, [&] { done_.emplace_back("other"); });
  io_.run();
  ASSERT_EQ(done_.size(), 7U);
  EXPECT_NE(done_.back(), "other");
}

TEST_F(TurnQueueTest, TheQueueMayGoWhileATurnIsPosted) {
  {
    TurnQueue gone(io_.get_executor(), 1);
    EXPECT_TRUE(gone.TakesNow());
  }
  EXPECT_EQ(io_.run(), 1U);
}

}  // namespace
}  // namespace credence::h2
