#include "agent/exchange/exchanger.h"

#include <set>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/exchange/testing/fakes.h"
#include "base/core/testing/run_task.h"

namespace credence {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

Task<void> Together(Task<ExchangeResult> one, Task<ExchangeResult> other) {
  using boost::asio::experimental::awaitable_operators::operator&&;
  co_await (std::move(one) && std::move(other));
}

class ExchangerTest : public testing::Test {
 protected:
  ExchangerTest() {
    vendor_->clock = &clock_;
    options_.attempt_timeout = milliseconds(100);
    options_.repeated_svid_wait = milliseconds(5);
    options_.retry.backoff = {.initial = milliseconds(5), .cap = milliseconds(10)};
    options_.retry.propagation_wait = milliseconds(5);
  }

  Exchanger& Made() {
    if (!exchanger_) {
      exchanger_.emplace(clock_, jwts_, audit_, options_);
    }
    return *exchanger_;
  }
  ExchangeOrder Order(const std::string& id = "spiffe://example.org/web") const {
    ExchangeOrder order{.identity = {*SpiffeId::Parse(id), "entry-1"}};
    order.decision_id = "d-1";
    order.destination = "kv";
    order.target = vendor_;
    return order;
  }
  Task<ExchangeResult> Start(ExchangeOrder order,
                             milliseconds patience = seconds(5),
                             milliseconds end = seconds(10)) {
    auto limits = std::make_shared<const ExchangePatience>(
        ExchangePatience{.callers = Deadline::After(patience), .end = Deadline::After(end)});
    return Made().Run(std::move(order), std::move(limits));
  }
  ExchangeResult Run(milliseconds patience = seconds(5),
                     const std::string& id = "spiffe://example.org/web") {
    return RunTask(io_, Start(Order(id), patience));
  }

  std::size_t DistinctTokens() const {
    return std::set<std::string>(vendor_->tokens.begin(), vendor_->tokens.end()).size();
  }

  asio::io_context io_;
  SystemClock clock_;
  std::shared_ptr<FakeDestination> vendor_ = std::make_shared<FakeDestination>();
  FakeJwtSource jwts_{clock_};
  FakeAudit audit_;
  Exchanger::Options options_;
  std::optional<Exchanger> exchanger_;
};

struct RetryCase {
  std::string name;
  ExchangeFailure failure;
  int attempts;
  Code code;
};

class ExchangerRetryTest : public ExchangerTest, public testing::WithParamInterface<RetryCase> {};

TEST_P(ExchangerRetryTest, EveryAttemptSpendsAnotherSvidAndIsLogged) {
  vendor_->answers.assign(20, FakeFailure(GetParam().failure));
  const ExchangeResult result = Run();
  EXPECT_FALSE(result.credential);
  EXPECT_EQ(result.refusal.code, GetParam().code);
  EXPECT_EQ(vendor_->exchanges, GetParam().attempts);
  EXPECT_EQ(DistinctTokens(), static_cast<std::size_t>(GetParam().attempts));
  ASSERT_THAT(audit_.events, SizeIs(GetParam().attempts));
  EXPECT_EQ(audit_.events[0].failure, ExchangeFailureName(GetParam().failure));
  EXPECT_EQ(audit_.events[0].request_id, "req-failed");
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    ExchangerRetryTest,
    testing::Values(
        RetryCase{"BadRequest", ExchangeFailure::kBadRequest, 1, Code::kFailedPrecondition},
        RetryCase{"BadToken", ExchangeFailure::kBadToken, 2, Code::kPermissionDenied},
        RetryCase{"ClockSkew", ExchangeFailure::kClockSkew, 2, Code::kPermissionDenied},
        RetryCase{"Replay", ExchangeFailure::kReplay, 2, Code::kPermissionDenied},
        RetryCase{"PolicyDenied", ExchangeFailure::kPolicyDenied, 1, Code::kPermissionDenied},
        RetryCase{"OpaqueDenied", ExchangeFailure::kOpaqueDenied, 2, Code::kPermissionDenied},
        RetryCase{"RateLimited", ExchangeFailure::kRateLimited, 4, Code::kResourceExhausted},
        RetryCase{"Unavailable", ExchangeFailure::kUnavailable, 4, Code::kUnavailable},
        RetryCase{"Propagation", ExchangeFailure::kPropagation, 4, Code::kUnavailable},
        RetryCase{"BadResponse", ExchangeFailure::kBadResponse, 1, Code::kUnavailable}),
    [](const auto& instance) { return instance.param.name; });

TEST_F(ExchangerTest, AnAmbiguousFailureIsRetriedWithOtherBytes) {
  vendor_->answers = {FakeFailure(ExchangeFailure::kUnavailable)};
  EXPECT_TRUE(Run().credential);
  EXPECT_THAT(vendor_->tokens, ElementsAre("jwt-1", "jwt-2"));
}

TEST_F(ExchangerTest, AnSvidThatWasSpentIsNeverSentAgain) {
  ASSERT_TRUE(Run().credential);
  jwts_.repeats = 1;
  ASSERT_TRUE(Run().credential);
  EXPECT_THAT(vendor_->tokens, ElementsAre("jwt-1", "jwt-2"));
  EXPECT_EQ(jwts_.fetches, 3);
}

TEST_F(ExchangerTest, AServerThatKeepsRepeatingSvidsGetsNowhere) {
  ASSERT_TRUE(Run().credential);
  jwts_.repeats = 100;
  const ExchangeResult result = Run();
  EXPECT_EQ(result.refusal.code, Code::kUnavailable);
  EXPECT_THAT(result.refusal.fact, HasSubstr("not sent twice"));
  EXPECT_EQ(vendor_->exchanges, 1);
}

TEST_F(ExchangerTest, ARepeatedJtiCountsAsSpent) {
  jwts_.with_jti = true;
  ASSERT_TRUE(Run().credential);
  jwts_.repeats = 1;
  jwts_.padding = "x";
  ASSERT_TRUE(Run().credential);
  EXPECT_THAT(vendor_->tokens, ElementsAre("jwt-1", "jwt-2x"));
}

TEST_F(ExchangerTest, AnSvidThatLivesTooLongIsNotSent) {
  jwts_.life = seconds(301);
  const ExchangeResult result = Run();
  EXPECT_EQ(result.refusal.code, Code::kFailedPrecondition);
  EXPECT_THAT(result.refusal.fact, HasSubstr("lives 301 s; the destination takes at most 300 s"));
  EXPECT_EQ(result.remember, seconds(5)) << "no load for the server either";
  EXPECT_EQ(vendor_->exchanges, 0);
}

TEST_F(ExchangerTest, AnSvidThatIsTooLargeIsNotSent) {
  jwts_.padding = std::string(100, 'x');
  EXPECT_THAT(Run().refusal.fact, HasSubstr("at most 100"));
  EXPECT_EQ(vendor_->exchanges, 0);
}

TEST_F(ExchangerTest, WithoutAnSvidNothingIsSentAndTheLogSaysSo) {
  jwts_.error = Error(Code::kUnavailable, "server away");
  const ExchangeResult result = Run();
  EXPECT_EQ(result.refusal.code, Code::kUnavailable);
  EXPECT_TRUE(result.may_pass);
  ASSERT_THAT(audit_.events, SizeIs(1));
  EXPECT_THAT(audit_.events[0].reason, HasSubstr("no JWT-SVID was sent: server away"));
}

TEST_F(ExchangerTest, OnlyASetUpThatHasToChangeEndsTheHopeForAnSvid) {
  for (const Code code : {Code::kFailedPrecondition,
                          Code::kPermissionDenied,
                          Code::kInvalidArgument,
                          Code::kUnimplemented}) {
    jwts_.error = Error(code, "no");
    const ExchangeResult result = Run();
    EXPECT_FALSE(result.may_pass) << CodeName(code);
    EXPECT_EQ(result.remember, seconds(5)) << CodeName(code);
  }
  for (const Code code :
       {Code::kInternal, Code::kUnknown, Code::kResourceExhausted, Code::kNotFound}) {
    jwts_.error = Error(code, "no");
    const ExchangeResult result = Run();
    EXPECT_TRUE(result.may_pass) << CodeName(code);
    EXPECT_EQ(result.remember, seconds(0)) << CodeName(code);
  }
}

TEST_F(ExchangerTest, WhatIsNotWantedAnyMoreIsNotTriedAgain) {
  vendor_->answers.assign(100, FakeFailure(ExchangeFailure::kUnavailable));
  ExchangeOrder order = Order();
  order.wanted = [this] { return vendor_->exchanges == 0; };
  const ExchangeResult result = RunTask(io_, Start(std::move(order)));
  EXPECT_EQ(vendor_->exchanges, 1);
  EXPECT_EQ(jwts_.fetches, 1);
  EXPECT_EQ(result.refusal.code, Code::kUnavailable);
  EXPECT_THAT(result.refusal.fact, HasSubstr("changed meanwhile"));
}

TEST_F(ExchangerTest, AnSvidThatIsNotWantedAnyMoreIsNotSent) {
  ExchangeOrder order = Order();
  order.wanted = [this] { return jwts_.fetches == 0; };
  const ExchangeResult result = RunTask(io_, Start(std::move(order)));
  EXPECT_EQ(jwts_.fetches, 1);
  EXPECT_EQ(vendor_->exchanges, 0);
  EXPECT_FALSE(result.credential);
  EXPECT_THAT(audit_.events, SizeIs(0)) << "no call, no line";
}

TEST_F(ExchangerTest, AnIdentityThatTheServerHasWithdrawnIsNotRenewed) {
  ExchangeOrder order = Order();
  order.renew = vendor_->NewCredential().credential;
  jwts_.held = false;
  const ExchangeResult result = RunTask(io_, Start(std::move(order)));
  EXPECT_EQ(vendor_->renewals, 0);
  EXPECT_EQ(vendor_->exchanges, 1) << "which takes an SVID";
  EXPECT_FALSE(result.renewed);
}

TEST_F(ExchangerTest, WaitingForATurnTakesNothingFromTheVendorsTime) {
  options_.concurrency = 1;
  options_.attempt_timeout = seconds(2);
  vendor_->delay = milliseconds(400);
  RunTask(io_, Together(Start(Order()), Start(Order())));
  ASSERT_THAT(vendor_->given, SizeIs(2));
  EXPECT_EQ(vendor_->most_running, 1);
  EXPECT_GT(vendor_->given[1], milliseconds(1650));
}

TEST_F(ExchangerTest, AVendorThatGetsLittleTimeIsNotCalledAway) {
  options_.attempt_timeout = seconds(3);
  vendor_->hangs = true;
  for (int i = 0; i < 6; ++i) {
    const ExchangeResult result =
        RunTask(io_, Start(Order(), milliseconds(5000), milliseconds(300)));
    EXPECT_EQ(result.refusal.code, Code::kUnavailable);
  }
  EXPECT_EQ(vendor_->exchanges, 6);
}

TEST_F(ExchangerTest, WhatIsUnderWaySaysNothingAboutAChangedDestination) {
  ExchangeOutcome limited = FakeFailure(ExchangeFailure::kRateLimited);
  limited.error.retry_after = seconds(60);
  vendor_->answers = {FakeFailure(ExchangeFailure::kUnavailable), limited};
  vendor_->on_call = [this] {
    if (vendor_->exchanges == 1) {
      exchanger_->Forget("kv");
    }
  };
  EXPECT_EQ(Run(seconds(2)).refusal.code, Code::kResourceExhausted);
  EXPECT_EQ(vendor_->exchanges, 2);
  vendor_->on_call = nullptr;
  EXPECT_TRUE(Run(seconds(2)).credential);
}

TEST_F(ExchangerTest, RetryAfterIsHonouredWithinThePatienceOfTheCallers) {
  ExchangeOutcome limited = FakeFailure(ExchangeFailure::kRateLimited);
  limited.error.retry_after = seconds(1);
  vendor_->answers = {limited};
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(Run().credential);
  EXPECT_GE(std::chrono::steady_clock::now() - start, seconds(1));
}

TEST_F(ExchangerTest, ALongerRetryAfterIsToldAndRemembered) {
  ExchangeOutcome limited = FakeFailure(ExchangeFailure::kRateLimited);
  limited.error.retry_after = seconds(60);
  vendor_->answers = {limited};
  const ExchangeResult result = Run(seconds(2));
  EXPECT_EQ(result.refusal.code, Code::kResourceExhausted);
  ASSERT_TRUE(result.refusal.retry_at);
  EXPECT_GT(*result.refusal.retry_at, clock_.Now() + seconds(50));
  EXPECT_EQ(result.remember, seconds(60));
  EXPECT_EQ(vendor_->exchanges, 1);
}

TEST_F(ExchangerTest, ARetryAfterCountsForEveryIdentity) {
  ExchangeOutcome limited = FakeFailure(ExchangeFailure::kRateLimited);
  limited.error.retry_after = seconds(60);
  vendor_->answers = {limited};
  Run(seconds(2));
  const ExchangeResult other = Run(seconds(2), "spiffe://example.org/other");
  EXPECT_EQ(other.refusal.code, Code::kResourceExhausted);
  EXPECT_TRUE(other.may_pass);
  ASSERT_TRUE(other.refusal.retry_at);
  EXPECT_GT(*other.refusal.retry_at, clock_.Now() + seconds(50));
  EXPECT_GT(other.remember, seconds(50));
  EXPECT_EQ(vendor_->exchanges, 1);
  EXPECT_THAT(audit_.events, SizeIs(1)) << "no call, no line";
  exchanger_->Forget("kv");
  EXPECT_TRUE(Run(seconds(2)).credential) << "a changed destination starts anew";
}

TEST_F(ExchangerTest, ALongRetryAfterKeepsTheOthersAwayForAShortTimeOnly) {
  FakeClock clock(FromUnixSeconds(1'800'000'000));
  vendor_->clock = &clock;
  exchanger_.emplace(clock, jwts_, audit_, options_);
  ExchangeOutcome limited = FakeFailure(ExchangeFailure::kRateLimited);
  limited.error.retry_after = std::chrono::hours(24);
  vendor_->answers = {limited};
  EXPECT_EQ(Run(seconds(2)).remember, std::chrono::hours(24)) << "the one that was told";
  clock.Advance(kMostSharedSilence - seconds(60));
  const ExchangeResult other = Run(seconds(2), "spiffe://example.org/other");
  EXPECT_EQ(other.refusal.code, Code::kResourceExhausted);
  EXPECT_EQ(other.remember, seconds(60));
  EXPECT_EQ(vendor_->exchanges, 1);
  clock.Advance(seconds(60));
  EXPECT_TRUE(Run(seconds(2), "spiffe://example.org/other").credential);
}

TEST_F(ExchangerTest, AnExpiredCredentialIsABadAnswer) {
  vendor_->life = milliseconds(0);
  EXPECT_THAT(Run().refusal.fact, HasSubstr("BAD_RESPONSE"));
}

TEST_F(ExchangerTest, AVendorThatKeepsFailingIsLeftAlone) {
  vendor_->answers.assign(100, FakeFailure(ExchangeFailure::kUnavailable));
  Run();
  Run();
  const int calls = vendor_->exchanges;
  EXPECT_EQ(calls, 5);
  EXPECT_THAT(Run().refusal.fact, HasSubstr("left alone until"));
  EXPECT_EQ(vendor_->exchanges, calls);
}

}  // namespace
}  // namespace credence
