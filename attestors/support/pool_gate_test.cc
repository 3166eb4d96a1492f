#include "attestors/support/pool_gate.h"

#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;

class PoolGateTest : public testing::Test {
 protected:
  ~PoolGateTest() override { pool_.join(); }

  void Submit(PoolGate& gate, uid_t uid, int label) {
    ASSERT_THAT(gate.Submit(uid, [] {}, [this, label] { order_.push_back(label); }), IsOk());
  }

  asio::io_context io_;
  asio::thread_pool pool_{4};
  std::vector<int> order_;
};

TEST_F(PoolGateTest, UsersTakeTurns) {
  PoolGate gate(io_.get_executor(), pool_, {.running = 1});
  for (int label = 100; label < 104; ++label) {
    Submit(gate, 1, label);
  }
  Submit(gate, 2, 200);
  Submit(gate, 3, 300);
  io_.run_for(seconds(10));
  EXPECT_THAT(order_, ElementsAre(100, 200, 300, 101, 102, 103));
}

TEST_F(PoolGateTest, OneUserCannotHoldEveryThread) {
  PoolGate gate(io_.get_executor(), pool_, {.running = 2, .running_per_uid = 1});
  std::promise<void> open;
  const auto opened = open.get_future().share();
  for (int i = 0; i < 10; ++i) {
    ASSERT_THAT(
        gate.Submit(1, [opened] { opened.wait(); }, [this] { order_.push_back(1); }), IsOk());
  }
  Submit(gate, 2, 2);
  io_.run_for(std::chrono::milliseconds(200));
  EXPECT_THAT(order_, ElementsAre(2));
  open.set_value();
  io_.restart();
  io_.run_for(seconds(10));
  EXPECT_EQ(order_.size(), 11U);
}

TEST_F(PoolGateTest, NeverRunsMoreThanItMay) {
  PoolGate gate(io_.get_executor(), pool_, {.running = 2, .running_per_uid = 2});
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  for (int i = 0; i < 60; ++i) {
    ASSERT_THAT(gate.Submit(
                    1,
                    [&] {
                      const int now = ++running;
                      int seen = most.load();
                      while (seen < now && !most.compare_exchange_weak(seen, now)) {
                      }
                      --running;
                    },
                    [] {}),
                IsOk());
  }
  io_.run_for(seconds(10));
  EXPECT_LE(most.load(), 2);
}

TEST_F(PoolGateTest, AFullQueueIsRefused) {
  PoolGate gate(io_.get_executor(), pool_, {.running = 1, .waiting = 3, .waiting_per_uid = 2});
  std::promise<void> open;
  const auto opened = open.get_future().share();
  const auto hold = [&](uid_t uid) { return gate.Submit(uid, [opened] { opened.wait(); }, [] {}); };
  EXPECT_THAT(hold(1), IsOk());  // runs
  EXPECT_THAT(hold(1), IsOk());
  EXPECT_THAT(hold(1), IsOk());
  EXPECT_THAT(hold(1), FailsWithCode(Code::kResourceExhausted));
  EXPECT_THAT(hold(2), IsOk());
  EXPECT_THAT(hold(3), FailsWithCode(Code::kResourceExhausted));
  open.set_value();
  io_.run_for(seconds(10));
}

TEST_F(PoolGateTest, MayEndBeforeItsJobs) {
  std::promise<void> open;
  const auto opened = open.get_future().share();
  {
    PoolGate gate(io_.get_executor(), pool_, {.running = 1});
    for (int i = 0; i < 3; ++i) {
      ASSERT_THAT(
          gate.Submit(1, [opened] { opened.wait(); }, [this] { order_.push_back(1); }), IsOk());
    }
  }
  open.set_value();
  io_.run_for(seconds(10));
  EXPECT_TRUE(order_.empty());
}

}  // namespace
}  // namespace credence
