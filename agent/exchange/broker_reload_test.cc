#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/exchange/testing/broker_fixture.h"

namespace credence {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::SizeIs;

Task<void> Collect(Broker& broker, CredentialQuery query, std::vector<BrokerAnswer>& answers) {
  BrokerAnswer answer = co_await broker.Get(std::move(query));
  answers.push_back(std::move(answer));
}

/// What a reload does to requests and exchanges under way.
class BrokerReloadTest : public BrokerFixture {
 protected:
  ~BrokerReloadTest() override { RunTask(io_, callers_.Stop()); }

  void StartGet() { callers_.Spawn("get", Collect(*broker_, Query(), answers_)); }
  /// A request whose decision is written when FinishWriting is called.
  void GetWithASlowLog() {
    audit_.slow = std::make_shared<Latch>();
    StartGet();
    Wait(milliseconds(5));
    EXPECT_THAT(answers_, SizeIs(0));
  }
  BrokerAnswer FinishWriting() {
    audit_.slow->Set();
    WaitFor(callers_);
    return answers_.empty() ? BrokerAnswer() : answers_.back();
  }
  void RemoveGrants() {
    resources_.grants.clear();
    Reload();
  }
  void AddAnUnrelatedDestination() {
    resources_.destinations.push_back(FakeDestinationResource("other", kv_));
    Reload();
  }

  std::vector<BrokerAnswer> answers_;
  TaskGroup callers_{io_.get_executor()};
};

TEST_F(BrokerReloadTest, AnExchangeIsNotTriedAgainWithoutItsGrant) {
  options_.exchange.retry.backoff = {.initial = seconds(1), .cap = seconds(1)};
  kv_->answers.assign(100, FakeFailure(ExchangeFailure::kUnavailable));
  Make().Start();
  StartGet();
  WaitUntil([this] { return kv_->exchanges == 1 && kv_->running == 0; });
  RemoveGrants();
  WaitFor(callers_);
  EXPECT_EQ(kv_->exchanges, 1);
  EXPECT_EQ(jwts_.fetches, 1);
  ASSERT_THAT(answers_, SizeIs(1));
  EXPECT_EQ(answers_[0].refusal.code, Code::kPermissionDenied);
}

TEST_F(BrokerReloadTest, AnExchangeIsNotTriedAgainAtAReplacedDestination) {
  options_.exchange.retry.backoff = {.initial = seconds(1), .cap = seconds(1)};
  kv_->answers.assign(100, FakeFailure(ExchangeFailure::kUnavailable));
  Make().Start();
  StartGet();
  WaitUntil([this] { return kv_->exchanges == 1 && kv_->running == 0; });
  resources_.destinations[0].settings = {{"address", "elsewhere"}};
  Reload();
  WaitFor(callers_);
  EXPECT_EQ(kv_->exchanges, 1);
  ASSERT_THAT(answers_, SizeIs(1));
  EXPECT_EQ(answers_[0].refusal.code, Code::kUnavailable);
  EXPECT_THAT(answers_[0].refusal.fact, HasSubstr("changed meanwhile"));
}

TEST_F(BrokerReloadTest, AnUnchangedReloadLeavesRetriesAlone) {
  kv_->answers.assign(3, FakeFailure(ExchangeFailure::kUnavailable));
  kv_->delay = milliseconds(20);
  Make().Start();
  StartGet();
  WaitUntil([this] { return kv_->exchanges == 1; });
  AddAnUnrelatedDestination();
  WaitFor(callers_);
  ASSERT_THAT(answers_, SizeIs(1));
  EXPECT_EQ(SecretOf(answers_[0]), "secret-4");
}

TEST_F(BrokerReloadTest, AnSvidThatArrivesAfterItsGrantHasGoneIsNotSent) {
  jwts_.on_fetch = [this] { RemoveGrants(); };
  Make().Start();
  EXPECT_EQ(Get().refusal.code, Code::kPermissionDenied);
  EXPECT_EQ(jwts_.fetches, 1);
  EXPECT_EQ(kv_->exchanges, 0);
}

TEST_F(BrokerReloadTest, AGrantThatGoesWhileACachedAnswerIsWrittenCountsNoMore) {
  Make();
  ASSERT_TRUE(Get().issued);
  GetWithASlowLog();
  RemoveGrants();
  const BrokerAnswer answer = FinishWriting();
  EXPECT_FALSE(answer.issued);
  EXPECT_EQ(answer.refusal.code, Code::kPermissionDenied);
  EXPECT_EQ(audit_.events.back().result, AuditResult::kDenied);
  EXPECT_EQ(audit_.events.back().decision_id, answer.decision_id);
}

TEST_F(BrokerReloadTest, AnUnrelatedReloadLeavesACachedAnswerAlone) {
  Make();
  ASSERT_TRUE(Get().issued);
  GetWithASlowLog();
  AddAnUnrelatedDestination();
  EXPECT_EQ(SecretOf(FinishWriting()), "secret-1");
}

TEST_F(BrokerReloadTest, ACachedCredentialThatEndsWhileItsDecisionIsWrittenStays) {
  Make();
  ASSERT_TRUE(Get().issued);
  GetWithASlowLog();
  clock_.Advance(seconds(601));
  const BrokerAnswer answer = FinishWriting();
  EXPECT_FALSE(answer.issued);
  EXPECT_EQ(answer.refusal.code, Code::kUnavailable);
  EXPECT_THAT(answer.refusal.fact, HasSubstr("ended while the decision was written"));
  EXPECT_NE(audit_.events.back().result, AuditResult::kAllowed) << "the log has the last word";
}

TEST_F(BrokerReloadTest, AGrantThatComesBackWhileACachedAnswerIsWrittenDoesNotReviveIt) {
  Make().Start();
  ASSERT_TRUE(Get().issued);
  GetWithASlowLog();
  const auto grants = resources_.grants;
  RemoveGrants();
  Settle();
  resources_.grants = grants;
  Reload();
  const BrokerAnswer answer = FinishWriting();
  EXPECT_FALSE(answer.issued) << "it is dropped, and may be revoked by now";
  EXPECT_EQ(SecretOf(Get()), "secret-2");
}

TEST_F(BrokerReloadTest, AnotherGrantThanTheLogNamesHandsNothingOut) {
  Make();
  ASSERT_TRUE(Get().issued);
  GetWithASlowLog();
  resources_.grants[0].name = "another";
  Reload();
  const BrokerAnswer answer = FinishWriting();
  EXPECT_FALSE(answer.issued);
  EXPECT_THAT(answer.refusal.fact, HasSubstr("changed meanwhile"));
  EXPECT_EQ(SecretOf(Get()), "secret-1");
  EXPECT_EQ(audit_.events.back().grant, "another");
}

TEST_F(BrokerReloadTest, AGrantThatGoesWhileTheDecisionIsWrittenStartsNoExchange) {
  Make();
  GetWithASlowLog();
  RemoveGrants();
  EXPECT_EQ(FinishWriting().refusal.code, Code::kPermissionDenied);
  EXPECT_EQ(jwts_.fetches, 0);
}

TEST_F(BrokerReloadTest, AnUnrelatedReloadWhileTheDecisionIsWrittenRefusesNobody) {
  Make();
  GetWithASlowLog();
  AddAnUnrelatedDestination();
  EXPECT_EQ(SecretOf(FinishWriting()), "secret-1");
}

TEST_F(BrokerReloadTest, TheOldCredentialOfAVendorThatIsAwayIsDecidedOnAgainToo) {
  Make();
  ASSERT_TRUE(Get().issued);
  clock_.Advance(seconds(575));
  kv_->answers.assign(100, FakeFailure(ExchangeFailure::kUnavailable));
  audit_.on_write = [this] {
    if (audit_.events.back().from_cache) {
      RemoveGrants();
    }
  };
  const BrokerAnswer answer = Get();
  EXPECT_FALSE(answer.issued);
  EXPECT_EQ(answer.refusal.code, Code::kPermissionDenied);
}

TEST_F(BrokerReloadTest, AGrantThatIsRemovedDuringTheExchangeCountsNoMore) {
  kv_->delay = milliseconds(200);
  Broker& broker = Make();
  broker.Start();
  std::vector<BrokerAnswer> answers;
  TaskGroup group(io_.get_executor());
  group.Spawn("get", Collect(broker, Query(), answers));
  WaitUntil([this] { return kv_->running == 1; });
  resources_.grants.clear();
  Reload();
  WaitFor(group);
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_FALSE(answers[0].issued);
  EXPECT_EQ(answers[0].refusal.code, Code::kPermissionDenied);
}

TEST_F(BrokerReloadTest, AnotherIdentitysGrantDoesNotGiveTheCredential) {
  resources_.grants.push_back(FakeGrant("batch-to-kv", "spiffe://example.org/batch", "kv"));
  kv_->delay = milliseconds(200);
  Broker& broker = Make();
  broker.Start();
  CredentialQuery query = Query();
  query.identities.push_back({*SpiffeId::Parse("spiffe://example.org/batch"), "entry-2"});
  std::vector<BrokerAnswer> answers;
  TaskGroup group(io_.get_executor());
  group.Spawn("get", Collect(broker, std::move(query), answers));
  WaitUntil([this] { return kv_->running == 1; });
  resources_.grants.erase(resources_.grants.begin());
  Reload();
  WaitFor(group);
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_FALSE(answers[0].issued);
  EXPECT_EQ(answers[0].refusal.code, Code::kUnavailable);
  EXPECT_THAT(answers[0].refusal.fact, HasSubstr("changed meanwhile"));
}

}  // namespace
}  // namespace credence
