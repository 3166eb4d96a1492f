#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/exchange/testing/broker_fixture.h"

namespace credence {
namespace {

using std::chrono::milliseconds;
using testing::SizeIs;

/// Credentials live 600 ms and are refreshed about 360 ms after their issue.
class BrokerRefreshTest : public BrokerFixture {
 protected:
  BrokerRefreshTest() { kv_->life = milliseconds(600); }

  void StartWithOne() {
    Make().Start();
    ASSERT_EQ(SecretOf(Get()), "secret-1");
  }
};

TEST_F(BrokerRefreshTest, AUsedCredentialIsRefreshedBeforeItEnds) {
  StartWithOne();
  Wait(milliseconds(500));
  EXPECT_EQ(kv_->exchanges, 2);
  EXPECT_EQ(SecretOf(Get()), "secret-2");
  ASSERT_THAT(audit_.OfKind(AuditKind::kExchange), SizeIs(2));
  EXPECT_EQ(audit_.OfKind(AuditKind::kExchange)[1].decision_id, audit_.events[0].decision_id);
}

TEST_F(BrokerRefreshTest, AnUnusedOneIsLeftToEndAndForgotten) {
  StartWithOne();
  Wait(milliseconds(1300));
  EXPECT_EQ(kv_->exchanges, 2) << "one refresh after the last use";
  EXPECT_EQ(broker_->size(), 0U);
}

TEST_F(BrokerRefreshTest, AFailedRefreshIsTriedAgainWhileTheOldOneIsServed) {
  StartWithOne();
  kv_->answers.assign(4, FakeFailure(ExchangeFailure::kUnavailable));
  Wait(milliseconds(520));
  EXPECT_GT(kv_->exchanges, 5);
  EXPECT_TRUE(Get().issued);
}

TEST_F(BrokerRefreshTest, APermanentNoEndsRefreshingAndTheOldOneLastsItsTime) {
  StartWithOne();
  kv_->answers.assign(1, FakeFailure(ExchangeFailure::kPolicyDenied));
  Wait(milliseconds(480));
  EXPECT_EQ(kv_->exchanges, 2);
  EXPECT_EQ(SecretOf(Get()), "secret-1");
  Wait(milliseconds(150));
  EXPECT_FALSE(Get().issued);
  EXPECT_EQ(kv_->exchanges, 2);
}

TEST_F(BrokerRefreshTest, ARenewableOneIsRenewed) {
  kv_->renewable = true;
  StartWithOne();
  Wait(milliseconds(500));
  EXPECT_EQ(kv_->renewals, 1);
  EXPECT_EQ(kv_->exchanges, 1);
  EXPECT_EQ(jwts_.fetches, 1);
  EXPECT_EQ(audit_.OfKind(AuditKind::kExchange)[1].action, "renew");
}

TEST_F(BrokerRefreshTest, ARefusedRenewalBecomesAnExchange) {
  kv_->renewable = true;
  StartWithOne();
  kv_->answers.assign(1, FakeFailure(ExchangeFailure::kPolicyDenied));
  Wait(milliseconds(500));
  EXPECT_EQ(kv_->renewals, 1);
  EXPECT_EQ(kv_->exchanges, 2);
  EXPECT_TRUE(Get().issued);
}

TEST_F(BrokerRefreshTest, ALimitedCredentialIsNeverRenewed) {
  kv_->renewable = true;
  resources_.grants[0].max_ttl = milliseconds(500);
  StartWithOne();
  Wait(milliseconds(470));
  EXPECT_EQ(kv_->renewals, 0);
  EXPECT_EQ(kv_->exchanges, 2);
}

TEST_F(BrokerRefreshTest, ARemovedGrantDropsTheCredential) {
  StartWithOne();
  resources_.grants.clear();
  Reload();
  Wait(milliseconds(20));
  EXPECT_EQ(broker_->size(), 0U);
  EXPECT_FALSE(Get().issued);
  Wait(milliseconds(500));
  EXPECT_EQ(kv_->exchanges, 1);
}

TEST_F(BrokerRefreshTest, AChangedDestinationDropsTheCredential) {
  StartWithOne();
  resources_.destinations[0].settings = {{"address", "elsewhere"}};
  Reload();
  EXPECT_EQ(SecretOf(Get()), "secret-2") << "even before the background has seen the change";
}

TEST_F(BrokerRefreshTest, AnUnchangedReloadKeepsTheCredential) {
  StartWithOne();
  resources_.destinations[0].owner = "someone else";
  Reload();
  Wait(milliseconds(20));
  EXPECT_EQ(SecretOf(Get()), "secret-1");
}

Task<void> GetInto(Broker& broker, CredentialQuery query, std::vector<BrokerAnswer>& answers) {
  BrokerAnswer answer = co_await broker.Get(std::move(query));
  answers.push_back(std::move(answer));
}

TEST_F(BrokerRefreshTest, AGrantThatIsRemovedDuringTheExchangeCountsNoMore) {
  kv_->delay = milliseconds(60);
  Broker& broker = Make();
  broker.Start();
  std::vector<BrokerAnswer> answers;
  TaskGroup group(io_.get_executor());
  group.Spawn("get", GetInto(broker, Query(), answers));
  Wait(milliseconds(20));
  resources_.grants.clear();
  Reload();
  Wait(milliseconds(100));
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_FALSE(answers[0].issued);
  EXPECT_EQ(answers[0].refusal.code, Code::kPermissionDenied);
}

}  // namespace
}  // namespace credence
