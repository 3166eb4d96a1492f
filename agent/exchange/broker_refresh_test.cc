#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/exchange/testing/broker_fixture.h"

namespace credence {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::IsEmpty;
using testing::SizeIs;

/// Credentials live 600 s, are served for 570 s and are refreshed 323 s to 437 s after their issue.
class BrokerRefreshTest : public BrokerFixture {
 protected:
  BrokerRefreshTest() { kv_->life = seconds(600); }

  void StartWithOne() {
    Make().Start();
    ASSERT_EQ(SecretOf(Get()), "secret-1");
    Settle();
  }

  /// A request after the time of the refresh gets the old credential and starts the refresh.
  /// It takes `calls` to the vendor.
  void RefreshByUse(int calls = 1) {
    const int before = kv_->exchanges + kv_->renewals;
    clock_.Advance(seconds(450));
    EXPECT_EQ(SecretOf(Get()), "secret-1");
    WaitUntil(
        [&] { return kv_->exchanges + kv_->renewals == before + calls && kv_->running == 0; });
    Wait(milliseconds(20));
  }
};

TEST_F(BrokerRefreshTest, AUsedCredentialIsRefreshedWithoutACaller) {
  const SystemClock real;
  time_ = &real;
  kv_->life = milliseconds(1500);
  Make().Start();
  ASSERT_TRUE(Get().issued);
  WaitUntil([this] { return kv_->exchanges == 2 && kv_->running == 0; });
  Wait(milliseconds(20));
  EXPECT_EQ(SecretOf(Get()), "secret-2");
  WaitUntil([this] { return kv_->exchanges == 3; });
  EXPECT_EQ(kv_->exchanges, 3) << "that one is in use too";
  RunTask(io_, broker_->Stop());
  broker_.reset();
}

TEST_F(BrokerRefreshTest, ARefreshReplacesTheCredentialAndIsLogged) {
  StartWithOne();
  RefreshByUse();
  EXPECT_EQ(kv_->exchanges, 2);
  EXPECT_EQ(SecretOf(Get()), "secret-2");
  ASSERT_THAT(audit_.OfKind(AuditKind::kExchange), SizeIs(2));
  EXPECT_EQ(audit_.OfKind(AuditKind::kExchange)[1].exchange_id,
            audit_.OfKind(AuditKind::kDecision)[2].exchange_id);
  EXPECT_EQ(audit_.OfKind(AuditKind::kExchange)[1].decision_id,
            audit_.OfKind(AuditKind::kDecision)[1].decision_id);
}

TEST_F(BrokerRefreshTest, AnUnusedOneIsForgottenWhenItEnds) {
  StartWithOne();
  RefreshByUse();
  EXPECT_EQ(broker_->size(), 1U);
  clock_.Advance(seconds(601));
  Reload();
  CredentialQuery other = Query();
  other.parameters = {{"role", "x"}};
  EXPECT_TRUE(Get(other).issued);
  WaitUntil([this] { return broker_->size() == 1; });
}

TEST_F(BrokerRefreshTest, WhileTheVendorIsAwayTheOldOneIsServedToItsEnd) {
  StartWithOne();
  kv_->answers.assign(100, FakeFailure(ExchangeFailure::kUnavailable));
  RefreshByUse(4);
  clock_.Advance(seconds(140));
  EXPECT_EQ(SecretOf(Get()), "secret-1") << "in the margin, after a failed exchange";
  EXPECT_TRUE(audit_.events.back().from_cache) << "the log says which credential it was";
  EXPECT_EQ(audit_.events.back().exchange_id, audit_.OfKind(AuditKind::kExchange)[0].exchange_id);
  clock_.Advance(seconds(11));
  EXPECT_FALSE(Get().issued);
}

TEST_F(BrokerRefreshTest, WhileTheVendorWantsSilenceTheOldOneIsServedToItsEnd) {
  StartWithOne();
  ExchangeOutcome limited = FakeFailure(ExchangeFailure::kRateLimited);
  limited.error.retry_after = seconds(3000);
  kv_->answers.assign(1, limited);
  clock_.Advance(seconds(580));
  EXPECT_EQ(SecretOf(Get(Query(milliseconds(500)))), "secret-1") << "the first gets the answer";
  EXPECT_EQ(SecretOf(Get()), "secret-1") << "the second finds it remembered";
  EXPECT_EQ(kv_->exchanges, 2);
  clock_.Advance(seconds(21));
  const BrokerAnswer answer = Get();
  EXPECT_FALSE(answer.issued);
  EXPECT_EQ(answer.refusal.code, Code::kResourceExhausted);
}

TEST_F(BrokerRefreshTest, APermanentNoEndsRefreshingAndTheOldOneLastsItsTime) {
  StartWithOne();
  kv_->answers.assign(1, FakeFailure(ExchangeFailure::kPolicyDenied));
  RefreshByUse();
  EXPECT_EQ(kv_->exchanges, 2);
  clock_.Advance(seconds(100));
  EXPECT_EQ(SecretOf(Get()), "secret-1");
  Wait(milliseconds(50));
  EXPECT_EQ(kv_->exchanges, 2);
}

TEST_F(BrokerRefreshTest, ANoWithoutAReasonIsAskedAgain) {
  StartWithOne();
  kv_->answers.assign(2, FakeFailure(ExchangeFailure::kOpaqueDenied));
  RefreshByUse(2);
  clock_.Advance(seconds(29));
  EXPECT_EQ(SecretOf(Get()), "secret-1");
  EXPECT_EQ(kv_->exchanges, 3) << "the no is believed for 30 seconds";
  clock_.Advance(seconds(2));
  EXPECT_EQ(SecretOf(Get()), "secret-1");
  WaitUntil([this] { return kv_->exchanges == 4 && kv_->running == 0; });
  WaitUntil([this] { return SecretOf(Get()) == "secret-4"; });
}

TEST_F(BrokerRefreshTest, AVendorsNoEndsAServedCredentialAtItsExpiry) {
  StartWithOne();
  clock_.Advance(seconds(575));
  kv_->answers.assign(1, FakeFailure(ExchangeFailure::kPolicyDenied));
  EXPECT_EQ(Get().refusal.code, Code::kPermissionDenied);
}

/// Counts how often it is asked.
class CountingClock final : public Clock {
 public:
  explicit CountingClock(const Clock& clock) : clock_(clock) {}
  WallTime Now() const override {
    ++asked;
    return clock_.Now();
  }
  SteadyTime SteadyNow() const override { return clock_.SteadyNow(); }

  mutable int asked = 0;

 private:
  const Clock& clock_;
};

TEST_F(BrokerRefreshTest, AnExpiredOneWithARememberedNoIsDroppedAndNeedsNoUpkeep) {
  const CountingClock counting(clock_);
  time_ = &counting;
  StartWithOne();
  clock_.Advance(seconds(575));
  kv_->answers.assign(1, FakeFailure(ExchangeFailure::kPolicyDenied));
  EXPECT_EQ(Get().refusal.code, Code::kPermissionDenied);
  clock_.Advance(seconds(26));
  CredentialQuery other = Query();
  other.parameters = {{"role", "x"}};
  EXPECT_TRUE(Get(other).issued);
  WaitUntil([this] { return broker_->size() == 1; });
  counting.asked = 0;
  Wait(milliseconds(100));
  EXPECT_LT(counting.asked, 5);
  EXPECT_EQ(Get().refusal.code, Code::kPermissionDenied) << "the no is still believed";
  RunTask(io_, broker_->Stop());
  broker_.reset();
}

TEST_F(BrokerRefreshTest, AServerThatFailsLeavesTheOldOneServedAndRefreshed) {
  for (const Code code : {Code::kInternal,
                          Code::kUnknown,
                          Code::kAborted,
                          Code::kCancelled,
                          Code::kResourceExhausted,
                          Code::kNotFound}) {
    StartWithOne();
    clock_.Advance(seconds(575));
    jwts_.error = Error(code, "the server says so");
    EXPECT_EQ(SecretOf(Get()), "secret-1") << CodeName(code);
    jwts_.error.reset();
    clock_.Advance(seconds(1));
    WaitUntil([this] { return kv_->exchanges == 2; });
    RunTask(io_, broker_->Stop());
    kv_->exchanges = 0;
  }
}

TEST_F(BrokerRefreshTest, AnotherEntryOfTheIdentityEndsTheNoToTheOneBefore) {
  StartWithOne();
  jwts_.error = Error(Code::kPermissionDenied, "the server says no");
  clock_.Advance(seconds(450));
  EXPECT_EQ(SecretOf(Get()), "secret-1");
  WaitUntil([this] { return jwts_.fetches == 2; });
  Wait(milliseconds(20));
  jwts_.error.reset();
  clock_.Advance(seconds(6));
  EXPECT_EQ(SecretOf(Get()), "secret-1");
  Wait(milliseconds(50));
  EXPECT_EQ(kv_->exchanges, 1) << "the same entry";
  CredentialQuery query = Query();
  query.identities[0].entry_id = "entry-2";
  EXPECT_EQ(SecretOf(Get(query)), "secret-1");
  WaitUntil([this] { return kv_->exchanges == 2; });
  EXPECT_EQ(jwts_.last_entry_id, "entry-2");
}

/// Its wall clock can be set; steady time goes on.
class SetClock final : public Clock {
 public:
  explicit SetClock(const Clock& clock) : clock_(clock) {}
  WallTime Now() const override { return clock_.Now() + set_by; }
  SteadyTime SteadyNow() const override { return clock_.SteadyNow(); }

  seconds set_by{0};

 private:
  const Clock& clock_;
};

TEST_F(BrokerRefreshTest, AClockThatIsSetBackMakesNothingValidAgain) {
  SetClock set(clock_);
  time_ = &set;
  StartWithOne();
  set.set_by = -seconds(300);
  kv_->answers.assign(4, FakeFailure(ExchangeFailure::kUnavailable));
  EXPECT_FALSE(Get().issued) << "not for want of another either";
  EXPECT_EQ(SecretOf(Get()), "secret-6");
  RunTask(io_, broker_->Stop());
  broker_.reset();
}

TEST_F(BrokerRefreshTest, AnIdentityThatTheServerHasWithdrawnIsNotRefreshed) {
  kv_->renewable = true;
  StartWithOne();
  jwts_.held = false;
  RefreshByUse(0);
  EXPECT_EQ(kv_->renewals, 0);
  EXPECT_EQ(jwts_.fetches, 1);
  jwts_.held = true;
  EXPECT_EQ(SecretOf(Get()), "secret-1");
  WaitUntil([this] { return kv_->renewals == 1; });
}

TEST_F(BrokerRefreshTest, ARenewableOneIsRenewed) {
  kv_->renewable = true;
  StartWithOne();
  RefreshByUse();
  EXPECT_EQ(kv_->renewals, 1);
  EXPECT_EQ(kv_->exchanges, 1);
  EXPECT_EQ(jwts_.fetches, 1);
  EXPECT_EQ(audit_.OfKind(AuditKind::kExchange)[1].action, "renew");
}

TEST_F(BrokerRefreshTest, ARenewalThatGivesLittleIsFollowedByAnExchange) {
  kv_->renewable = true;
  StartWithOne();
  kv_->life = seconds(100);
  RefreshByUse();
  EXPECT_EQ(kv_->renewals, 1);
  clock_.Advance(seconds(95));
  EXPECT_TRUE(Get().issued);
  EXPECT_EQ(kv_->renewals, 1);
  EXPECT_EQ(kv_->exchanges, 2);
}

TEST_F(BrokerRefreshTest, ARefusedRenewalBecomesAnExchange) {
  kv_->renewable = true;
  StartWithOne();
  kv_->answers.assign(1, FakeFailure(ExchangeFailure::kPolicyDenied));
  RefreshByUse(2);
  EXPECT_EQ(kv_->renewals, 1);
  EXPECT_EQ(kv_->exchanges, 2);
  EXPECT_EQ(SecretOf(Get()), "secret-3");
}

TEST_F(BrokerRefreshTest, ARenewalWithoutSenseBecomesAnExchange) {
  kv_->renewable = true;
  StartWithOne();
  kv_->answers.assign(1, FakeFailure(ExchangeFailure::kBadResponse));
  RefreshByUse(2);
  EXPECT_EQ(kv_->renewals, 1);
  EXPECT_EQ(kv_->exchanges, 2);
  EXPECT_EQ(SecretOf(Get()), "secret-3");
}

TEST_F(BrokerRefreshTest, ALimitedCredentialIsNeverRenewed) {
  kv_->renewable = true;
  resources_.grants[0].max_ttl = minutes(9);
  StartWithOne();
  RefreshByUse();
  EXPECT_EQ(kv_->renewals, 0);
  EXPECT_EQ(kv_->exchanges, 2);
}

TEST_F(BrokerRefreshTest, ARemovedGrantDropsTheCredential) {
  StartWithOne();
  resources_.grants.clear();
  Reload();
  WaitUntil([this] { return broker_->size() == 0; });
  EXPECT_FALSE(Get().issued);
  EXPECT_EQ(kv_->exchanges, 1);
}

TEST_F(BrokerRefreshTest, AChangedDestinationDropsTheCredential) {
  StartWithOne();
  resources_.destinations[0].settings = {{"address", "elsewhere"}};
  Reload();
  EXPECT_EQ(SecretOf(Get()), "secret-2");
}

TEST_F(BrokerRefreshTest, AnUnchangedReloadKeepsTheCredential) {
  StartWithOne();
  resources_.destinations[0].owner = "someone else";
  Reload();
  Wait(milliseconds(50));
  EXPECT_EQ(SecretOf(Get()), "secret-1");
}

TEST_F(BrokerRefreshTest, WithoutAnAuditLogTheOldOneStaysToo) {
  StartWithOne();
  clock_.Advance(seconds(575));
  audit_.error = Error(Code::kResourceExhausted, "full");
  audit_.failing_kind = AuditKind::kExchange;
  EXPECT_FALSE(Get().issued);
}

TEST_F(BrokerRefreshTest, ARefreshThatCannotBeLoggedIsRevokedAndWaitsForACaller) {
  StartWithOne();
  audit_.error = Error(Code::kResourceExhausted, "full");
  audit_.failing_kind = AuditKind::kExchange;
  RefreshByUse();
  EXPECT_EQ(kv_->revoked, std::vector<std::string>{"secret-2"});
  clock_.Advance(seconds(1));
  Wait(milliseconds(200));
  EXPECT_EQ(kv_->exchanges, 2) << "nobody has asked";
  EXPECT_EQ(SecretOf(Get()), "secret-1");
  WaitUntil([this] { return kv_->revoked.size() == 2; });
  EXPECT_EQ(kv_->exchanges, 3);
}

TEST_F(BrokerRefreshTest, ARenewalThatCannotBeLoggedIsNotRevoked) {
  kv_->renewable = true;
  StartWithOne();
  audit_.error = Error(Code::kResourceExhausted, "full");
  audit_.failing_kind = AuditKind::kExchange;
  RefreshByUse();
  EXPECT_EQ(kv_->renewals, 1);
  EXPECT_THAT(kv_->revoked, IsEmpty()) << "it is the one in use";
}

}  // namespace
}  // namespace credence
