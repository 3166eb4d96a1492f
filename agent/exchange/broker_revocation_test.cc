#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/exchange/testing/broker_fixture.h"

namespace credence {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

/// What happens at the vendor when a reload takes a grant away.
class BrokerRevocationTest : public BrokerFixture {
 protected:
  BrokerRevocationTest() {
    options_.revocation.grace = milliseconds(0);
    options_.revocation.retry = {.initial = milliseconds(5), .cap = milliseconds(10)};
    options_.revocation.attempt_timeout = milliseconds(500);
  }

  void StartWithOne() {
    Make().Start();
    ASSERT_EQ(SecretOf(Get()), "secret-1");
  }
  void RemoveTheGrant() {
    resources_.grants.clear();
    Reload();
  }
  std::vector<AuditEvent> Revocations() const {
    std::vector<AuditEvent> found;
    for (const AuditEvent& event : audit_.events) {
      if (event.action == "revoke") {
        found.push_back(event);
      }
    }
    return found;
  }
};

TEST_F(BrokerRevocationTest, ACredentialWhoseGrantGoesIsRevoked) {
  StartWithOne();
  RemoveTheGrant();
  WaitUntil([this] { return Revocations().size() == 1; });
  EXPECT_EQ(kv_->revoked, std::vector<std::string>{"secret-1"});
  const AuditEvent event = Revocations()[0];
  EXPECT_EQ(event.kind, AuditKind::kExchange);
  EXPECT_EQ(event.result, AuditResult::kAllowed);
  EXPECT_EQ(event.destination, "kv");
  EXPECT_EQ(event.grant, "web-to-kv");
  EXPECT_EQ(event.exchange_id, audit_.OfKind(AuditKind::kExchange)[0].exchange_id);
  EXPECT_EQ(event.decision_id, audit_.OfKind(AuditKind::kDecision)[0].decision_id);
}

TEST_F(BrokerRevocationTest, ACredentialWhoseDestinationGoesIsRevokedThere) {
  StartWithOne();
  resources_.destinations.clear();
  RemoveTheGrant();
  WaitUntil([this] { return Revocations().size() == 1; });
  EXPECT_THAT(kv_->revoked, SizeIs(1));
}

TEST_F(BrokerRevocationTest, ACredentialWhoseGrantEndsByItselfIsRevoked) {
  const SystemClock real;
  time_ = &real;
  resources_.grants[0].expires = real.Now() + milliseconds(300);
  StartWithOne();
  EXPECT_THAT(kv_->revoked, IsEmpty());
  WaitUntil([this] { return Revocations().size() == 1; });
  EXPECT_GE(real.Now(), *resources_.grants[0].expires);
  Reload();
  Wait(milliseconds(50));
  EXPECT_EQ(kv_->revoked, std::vector<std::string>{"secret-1"}) << "once";
  EXPECT_EQ(broker_->size(), 0U);
  RunTask(io_, broker_->Stop());
  broker_.reset();
}

TEST_F(BrokerRevocationTest, AVendorWithoutThatPowerIsAskedOnceAndTheLogSaysHowLongItLasts) {
  kv_->revoke_answers = {Error(Code::kUnimplemented, "cannot")};
  kv_->renewable = true;
  StartWithOne();
  RemoveTheGrant();
  WaitUntil([this] { return Revocations().size() == 1; });
  Wait(milliseconds(50));
  ASSERT_THAT(Revocations(), SizeIs(1));
  const AuditEvent event = Revocations()[0];
  EXPECT_EQ(event.result, AuditResult::kFailed);
  EXPECT_THAT(event.reason, HasSubstr("destination kv cannot end a credential"));
  EXPECT_THAT(event.reason,
              HasSubstr("stays usable until 2027-01-15T08:10:00Z (accessor accessor)"));
  EXPECT_TRUE(event.expires_at);
}

TEST_F(BrokerRevocationTest, AFailureThatMayPassIsTriedAgain) {
  kv_->revoke_answers = {Error(Code::kUnavailable, "away"), Error(Code::kUnavailable, "away")};
  StartWithOne();
  RemoveTheGrant();
  WaitUntil([this] { return Revocations().size() == 3; });
  EXPECT_EQ(Revocations()[1].result, AuditResult::kFailed);
  EXPECT_THAT(Revocations()[1].reason, HasSubstr("not revoked: away; it stays usable until"));
  EXPECT_EQ(Revocations()[2].result, AuditResult::kAllowed);
}

TEST_F(BrokerRevocationTest, AGrantThatIsBackBeforeAnotherAttemptSavesItsCredential) {
  resources_.grants.push_back(FakeGrant("a-to-kv", "spiffe://example.org/a", "kv"));
  kv_->revoke_answers = {Error(Code::kUnavailable, "away"), Error(Code::kUnavailable, "away")};
  StartWithOne();
  CredentialQuery query = Query();
  query.identities[0] = {*SpiffeId::Parse("spiffe://example.org/a"), "entry-2"};
  ASSERT_EQ(SecretOf(Get(query)), "secret-2");
  audit_.on_write = [this] {
    if (Revocations().size() == 1) {
      resources_.grants.push_back(FakeGrant("a-is-back", "spiffe://example.org/a", "kv"));
      Reload();
    }
  };
  RemoveTheGrant();
  WaitUntil([this] { return Revocations().size() == 3; });
  // The one that is granted again comes first in each round, so it was passed over by now.
  EXPECT_EQ(kv_->revoked, (std::vector<std::string>{"secret-2", "secret-1", "secret-1"}));
  EXPECT_EQ(Revocations()[2].result, AuditResult::kAllowed);
}

TEST_F(BrokerRevocationTest, NothingIsRevokedWithinTheGrace) {
  // Ends when the broker is stopped; what comes after the grace is in revoker_test.cc.
  options_.revocation.grace = std::chrono::hours(1);
  StartWithOne();
  RemoveTheGrant();
  WaitUntil([this] { return broker_->size() == 0; });
  EXPECT_THAT(kv_->revoked, IsEmpty());
}

TEST_F(BrokerRevocationTest, AVendorThatStaysAwayIsTriedABoundedNumberOfTimes) {
  options_.revocation.attempts = 3;
  kv_->revoke_answers.assign(100, Error(Code::kUnavailable, "away"));
  StartWithOne();
  RemoveTheGrant();
  WaitUntil([this] { return Revocations().size() == 3; });
  Wait(milliseconds(50));
  EXPECT_THAT(Revocations(), SizeIs(3));
}

TEST_F(BrokerRevocationTest, AnExpiredCredentialIsNotTriedAgain) {
  options_.revocation.retry = {.initial = milliseconds(50), .cap = milliseconds(50)};
  kv_->revoke_answers.assign(100, Error(Code::kUnavailable, "away"));
  StartWithOne();
  RemoveTheGrant();
  WaitUntil([this] { return Revocations().size() == 1; });
  clock_.Advance(seconds(601));
  Wait(milliseconds(150));
  EXPECT_THAT(Revocations(), SizeIs(1));
}

TEST_F(BrokerRevocationTest, AVendorThatHangsHoldsUpNoOther) {
  const auto other = std::make_shared<FakeDestination>();
  other->clock = &clock_;
  resources_.destinations.push_back(FakeDestinationResource("other", other));
  resources_.grants.push_back(FakeGrant("web-to-other", "spiffe://example.org/web", "other"));
  options_.revocation.attempt_timeout = seconds(30);
  StartWithOne();
  CredentialQuery query = Query();
  query.destination = "other";
  ASSERT_TRUE(Get(query).issued);
  kv_->hangs = true;
  RemoveTheGrant();
  WaitUntil([this] { return Revocations().size() == 1; });
  EXPECT_EQ(Revocations()[0].destination, "other");
}

TEST_F(BrokerRevocationTest, WhatArrivesAfterItsGrantHasGoneIsRevokedToo) {
  kv_->delay = milliseconds(100);
  Make().Start();
  const BrokerAnswer early = Get(Query(milliseconds(10)));
  EXPECT_EQ(early.refusal.code, Code::kDeadlineExceeded);
  RemoveTheGrant();
  WaitUntil([this] { return Revocations().size() == 1; });
  EXPECT_EQ(kv_->revoked, std::vector<std::string>{"secret-1"});
}

TEST_F(BrokerRevocationTest, ARefreshUnderWayRevokesTheOldAndTheNew) {
  StartWithOne();
  clock_.Advance(seconds(450));
  kv_->delay = milliseconds(100);
  EXPECT_EQ(SecretOf(Get()), "secret-1");
  WaitUntil([this] { return kv_->running == 1; });
  RemoveTheGrant();
  WaitUntil([this] { return Revocations().size() == 2; });
  EXPECT_EQ(kv_->revoked, (std::vector<std::string>{"secret-2", "secret-1"}));
}

TEST_F(BrokerRevocationTest, ChangedSettingsAndLimitsLeaveWhatIsInUseAlone) {
  StartWithOne();
  resources_.grants[0].max_ttl = seconds(60);
  Reload();
  WaitUntil([this] { return broker_->size() == 0; });
  ASSERT_TRUE(Get().issued);
  resources_.destinations[0].settings = {{"address", "elsewhere"}};
  Reload();
  WaitUntil([this] { return broker_->size() == 0; });
  EXPECT_THAT(kv_->revoked, IsEmpty());
}

TEST_F(BrokerRevocationTest, StoppingRevokesNothing) {
  StartWithOne();
  RunTask(io_, broker_->Stop());
  EXPECT_THAT(kv_->revoked, IsEmpty());
  EXPECT_THAT(Revocations(), IsEmpty());
}

}  // namespace
}  // namespace credence
