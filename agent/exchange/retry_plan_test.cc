#include "agent/exchange/retry_plan.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace credence {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

RetryPlan::Options TestOptions() {
  return {.backoff = {.initial = milliseconds(100),
                      .cap = milliseconds(1000),
                      .factor = 2,
                      .jitter = 0},
          .propagation_wait = seconds(10),
          .denial_memory = seconds(30)};
}

struct Case {
  std::string name;
  ExchangeFailure failure = ExchangeFailure::kUnavailable;
  std::optional<seconds> retry_after;
  std::vector<milliseconds> waits;
  milliseconds remember{0};
};

class RetryPlanTest : public testing::TestWithParam<Case> {};

TEST_P(RetryPlanTest, RetriesAsTheClassSays) {
  const Case& c = GetParam();
  RetryPlan plan(TestOptions());
  const ExchangeError error{.failure = c.failure, .retry_after = c.retry_after};
  for (const milliseconds wait : c.waits) {
    const auto step = plan.Next(error);
    ASSERT_TRUE(step.retry.has_value());
    EXPECT_EQ(*step.retry, wait);
  }
  const auto last = plan.Next(error);
  EXPECT_FALSE(last.retry.has_value());
  EXPECT_EQ(last.remember, c.remember);
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    RetryPlanTest,
    testing::Values(
        Case{"BadRequest", ExchangeFailure::kBadRequest, {}, {}, seconds(5)},
        Case{"BadResponse", ExchangeFailure::kBadResponse, {}, {}, seconds(5)},
        Case{"BadToken", ExchangeFailure::kBadToken, {}, {milliseconds(0)}, seconds(5)},
        Case{"ClockSkew", ExchangeFailure::kClockSkew, {}, {milliseconds(0)}, seconds(5)},
        Case{"Replay", ExchangeFailure::kReplay, {}, {milliseconds(0)}, seconds(5)},
        Case{"PolicyDenied", ExchangeFailure::kPolicyDenied, {}, {}, seconds(30)},
        Case{"OpaqueDenied", ExchangeFailure::kOpaqueDenied, {}, {milliseconds(0)}, seconds(30)},
        Case{"RateLimited",
             ExchangeFailure::kRateLimited,
             seconds(7),
             {seconds(7), seconds(7), seconds(7)},
             seconds(7)},
        Case{"RateLimitedWithoutATime",
             ExchangeFailure::kRateLimited,
             {},
             {milliseconds(100), milliseconds(200), milliseconds(400)},
             seconds(0)},
        Case{"Unavailable",
             ExchangeFailure::kUnavailable,
             {},
             {milliseconds(100), milliseconds(200), milliseconds(400)},
             seconds(0)},
        Case{"Propagation",
             ExchangeFailure::kPropagation,
             {},
             {seconds(10), seconds(10), seconds(10)},
             seconds(10)}),
    [](const auto& instance) { return instance.param.name; });

TEST(RetryPlanMixTest, OneFreshTokenForAllKindsOfRefusal) {
  RetryPlan plan(TestOptions());
  EXPECT_TRUE(plan.Next({.failure = ExchangeFailure::kReplay}).retry.has_value());
  EXPECT_FALSE(plan.Next({.failure = ExchangeFailure::kOpaqueDenied}).retry.has_value());
}

TEST(RetryPlanMixTest, AVendorCannotAskForForever) {
  RetryPlan plan(TestOptions());
  const auto step =
      plan.Next({.failure = ExchangeFailure::kRateLimited, .retry_after = seconds::max()});
  ASSERT_TRUE(step.retry.has_value());
  EXPECT_EQ(*step.retry, std::chrono::hours(24));
}

}  // namespace
}  // namespace credence
