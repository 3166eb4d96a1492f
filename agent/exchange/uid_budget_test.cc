#include "agent/exchange/uid_budget.h"

#include <gtest/gtest.h>

namespace credence {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(UidBudgetTest, ABurstThenASteadyRate) {
  UidBudget budget({.burst = 3, .per_second = 2});
  const SteadyTime start{seconds(100)};
  EXPECT_TRUE(budget.Take(1, start));
  EXPECT_TRUE(budget.Take(1, start));
  EXPECT_TRUE(budget.Take(1, start));
  EXPECT_FALSE(budget.Take(1, start));
  EXPECT_FALSE(budget.Take(1, start + milliseconds(400)));
  EXPECT_TRUE(budget.Take(1, start + milliseconds(500)));
  EXPECT_FALSE(budget.Take(1, start + milliseconds(600)));
}

TEST(UidBudgetTest, UsersDoNotShare) {
  UidBudget budget({.burst = 1, .per_second = 1});
  const SteadyTime start{seconds(100)};
  EXPECT_TRUE(budget.Take(1, start));
  EXPECT_FALSE(budget.Take(1, start));
  EXPECT_TRUE(budget.Take(2, start));
}

TEST(UidBudgetTest, ManyUsersTogetherAreBoundedToo) {
  UidBudget budget({.burst = 2, .per_second = 1, .burst_of_all = 3, .per_second_of_all = 1});
  const SteadyTime start{seconds(100)};
  EXPECT_TRUE(budget.Take(1, start));
  EXPECT_TRUE(budget.Take(1, start));
  EXPECT_FALSE(budget.Take(1, start));
  EXPECT_TRUE(budget.Take(2, start));
  EXPECT_FALSE(budget.Take(3, start)) << "the three of all are gone";
  EXPECT_TRUE(budget.Take(3, start + seconds(1)));
  EXPECT_FALSE(budget.Take(4, start + seconds(1)));
}

TEST(UidBudgetTest, ForgetsOnlyUsersWithFullBuckets) {
  UidBudget budget({.burst = 1, .per_second = 1, .max_users = 2});
  const SteadyTime start{seconds(100)};
  EXPECT_TRUE(budget.Take(1, start));
  EXPECT_TRUE(budget.Take(2, start));
  EXPECT_FALSE(budget.Take(3, start));
  EXPECT_FALSE(budget.Take(1, start));
  EXPECT_TRUE(budget.Take(3, start + seconds(1)));
}

}  // namespace
}  // namespace credence
