#include "agent/exchange/broker.h"

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
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class BrokerTest : public BrokerFixture {};

Task<void> GetInto(Broker& broker, CredentialQuery query, std::vector<BrokerAnswer>& answers) {
  BrokerAnswer answer = co_await broker.Get(std::move(query));
  answers.push_back(std::move(answer));
}

TEST_F(BrokerTest, ExchangesAFreshSvidAndHandsOutTheCredential) {
  Make();
  CredentialQuery query = Query();
  query.parameters = {{"role", "reader"}};
  const BrokerAnswer answer = Get(query);
  ASSERT_TRUE(answer.issued) << answer.refusal.fact;
  EXPECT_EQ(SecretOf(answer), "secret-1");
  EXPECT_EQ(answer.issued->spiffe_id, "spiffe://example.org/web");
  EXPECT_EQ(answer.issued->grant, "web-to-kv");
  EXPECT_LT(answer.issued->refresh_at, answer.issued->expires_at);
  EXPECT_EQ(jwts_.last_entry_id, "entry-1");
  EXPECT_EQ(kv_->last_parameters, query.parameters);
}

TEST_F(BrokerTest, TheLogHasTheDecisionBeforeTheCallAndTheCallBeforeTheCredential) {
  std::vector<std::string> order;
  audit_.on_write = [&] {
    order.push_back(audit_.events.back().kind == AuditKind::kDecision ? "decision" : "exchange");
  };
  kv_->on_call = [&order] { order.push_back("call"); };
  Make();
  const BrokerAnswer answer = Get();
  EXPECT_THAT(order, ElementsAre("decision", "call", "exchange"));
  for (const AuditEvent& event : audit_.events) {
    EXPECT_EQ(event.decision_id, answer.decision_id);
    EXPECT_EQ(event.result, AuditResult::kAllowed);
    EXPECT_EQ(event.subject.spiffe_id, "spiffe://example.org/web");
    EXPECT_EQ(event.subject.pid, 42);
  }
  EXPECT_EQ(audit_.events[1].request_id, "req-1");
  EXPECT_TRUE(audit_.events[1].expires_at);
}

TEST_F(BrokerTest, ASecondRequestIsAnsweredFromTheCacheWithADecisionOfItsOwn) {
  Make();
  const BrokerAnswer first = Get();
  const BrokerAnswer second = Get();
  EXPECT_EQ(SecretOf(second), "secret-1");
  EXPECT_EQ(kv_->exchanges, 1);
  EXPECT_NE(first.decision_id, second.decision_id);
  ASSERT_THAT(audit_.OfKind(AuditKind::kDecision), SizeIs(2));
  EXPECT_TRUE(audit_.events.back().from_cache);
  EXPECT_EQ(audit_.events.back().exchange_id, audit_.OfKind(AuditKind::kExchange)[0].exchange_id);
}

TEST_F(BrokerTest, AHundredCallersShareOneExchange) {
  kv_->delay = milliseconds(50);
  Broker& broker = Make();
  TaskGroup group(io_.get_executor());
  std::vector<BrokerAnswer> answers;
  for (int i = 0; i < 100; ++i) {
    group.Spawn("get", GetInto(broker, Query(), answers));
  }
  WaitFor(group);
  ASSERT_THAT(answers, SizeIs(100));
  for (const BrokerAnswer& answer : answers) {
    EXPECT_EQ(SecretOf(answer), "secret-1");
  }
  EXPECT_EQ(kv_->exchanges, 1);
  EXPECT_EQ(jwts_.fetches, 1);
  EXPECT_THAT(audit_.OfKind(AuditKind::kDecision), SizeIs(100));
  ASSERT_THAT(audit_.OfKind(AuditKind::kExchange), SizeIs(1));
  const std::string id = audit_.OfKind(AuditKind::kExchange)[0].exchange_id;
  EXPECT_NE(id, "");
  for (const AuditEvent& decision : audit_.OfKind(AuditKind::kDecision)) {
    EXPECT_EQ(decision.exchange_id, id) << "an auditor can join them";
  }
}

TEST_F(BrokerTest, ANoThatComesWhileADecisionIsWrittenIsItsAnswer) {
  kv_->delay = milliseconds(50);
  kv_->answers = {FakeFailure(ExchangeFailure::kPolicyDenied)};
  Broker& broker = Make();
  TaskGroup group(io_.get_executor());
  std::vector<BrokerAnswer> answers;
  group.Spawn("get", GetInto(broker, Query(), answers));
  WaitUntil([this] { return kv_->running == 1; });
  audit_.slow = std::make_shared<Latch>();
  group.Spawn("get", GetInto(broker, Query(), answers));
  WaitUntil([&answers] { return answers.size() == 1; });
  audit_.slow->Set();
  WaitFor(group);
  ASSERT_THAT(answers, SizeIs(2));
  EXPECT_EQ(answers[1].refusal.fact, answers[0].refusal.fact);
  EXPECT_EQ(kv_->exchanges, 1);
  const auto decisions = audit_.OfKind(AuditKind::kDecision);
  ASSERT_THAT(decisions, SizeIs(2));
  EXPECT_EQ(decisions[1].exchange_id, audit_.OfKind(AuditKind::kExchange)[0].exchange_id);
}

TEST_F(BrokerTest, ACallerThatLeavesWhileItsDecisionIsWrittenLeavesNoExchangeBehind) {
  Broker& broker = Make();
  audit_.slow = std::make_shared<Latch>();
  TaskGroup group(io_.get_executor());
  std::vector<BrokerAnswer> answers;
  group.Spawn("get", GetInto(broker, Query(), answers));
  Wait(milliseconds(1));
  RunTask(io_, group.Stop());
  audit_.slow = nullptr;
  EXPECT_EQ(SecretOf(Get()), "secret-1");
  EXPECT_EQ(kv_->exchanges, 1);
}

TEST_F(BrokerTest, OtherParametersAreAnotherCredential) {
  Make();
  CredentialQuery query = Query();
  query.parameters = {{"role", "a"}};
  EXPECT_EQ(SecretOf(Get(query)), "secret-1");
  query.parameters = {{"role", "b"}};
  EXPECT_EQ(SecretOf(Get(query)), "secret-2");
}

TEST_F(BrokerTest, ARefusalNamesTheFactAndReachesNobody) {
  Make();
  CredentialQuery query = Query();
  query.identities = {{*SpiffeId::Parse("spiffe://example.org/other"), "entry-2"}};
  const BrokerAnswer answer = Get(query);
  ASSERT_FALSE(answer.issued);
  EXPECT_EQ(answer.refusal.code, Code::kPermissionDenied);
  EXPECT_THAT(answer.refusal.fact, HasSubstr("spiffe://example.org/other"));
  EXPECT_EQ(jwts_.fetches, 0);
  ASSERT_THAT(audit_.events, SizeIs(1));
  EXPECT_EQ(audit_.events[0].result, AuditResult::kDenied);
  EXPECT_EQ(audit_.events[0].decision_id, answer.decision_id);
}

TEST_F(BrokerTest, WithoutAnAuditLogNothingLeaves) {
  audit_.error = Error(Code::kResourceExhausted, "/log: no space left on device");
  Make();
  const BrokerAnswer answer = Get();
  ASSERT_FALSE(answer.issued);
  EXPECT_EQ(answer.refusal.code, Code::kUnavailable);
  EXPECT_THAT(answer.refusal.fact,
              HasSubstr("the audit log cannot be written: /log: no space left"));
  EXPECT_EQ(jwts_.fetches, 0);
  EXPECT_EQ(kv_->exchanges, 0);
}

TEST_F(BrokerTest, ACachedCredentialStaysToo) {
  Make();
  ASSERT_TRUE(Get().issued);
  audit_.error = Error(Code::kResourceExhausted, "full");
  EXPECT_FALSE(Get().issued);
  audit_.error.reset();
  EXPECT_TRUE(Get().issued);
}

TEST_F(BrokerTest, ACredentialWhoseExchangeCannotBeLoggedIsDropped) {
  audit_.error = Error(Code::kResourceExhausted, "full");
  audit_.failing_kind = AuditKind::kExchange;
  Make();
  EXPECT_FALSE(Get().issued);
  EXPECT_EQ(kv_->exchanges, 1);
  EXPECT_EQ(broker_->size(), 0U);
}

TEST_F(BrokerTest, TheGrantsLimitCapsTheLife) {
  resources_.grants[0].max_ttl = minutes(5);
  kv_->life = minutes(60);
  Make();
  const BrokerAnswer answer = Get();
  ASSERT_TRUE(answer.issued);
  EXPECT_EQ(answer.issued->expires_at, answer.issued->credential->issued_at + minutes(5));
  ASSERT_THAT(answer.issued->delivery.files, SizeIs(1));
  EXPECT_EQ(answer.issued->delivery.files[0].content->Reveal(),
            FormatRfc3339(answer.issued->expires_at));
}

TEST_F(BrokerTest, TheEndOfTheGrantCapsTheLife) {
  resources_.grants[0].expires = clock_.Now() + seconds(300);
  kv_->life = seconds(600);
  Make();
  const BrokerAnswer answer = Get();
  ASSERT_TRUE(answer.issued);
  EXPECT_EQ(answer.issued->expires_at, clock_.Now() + seconds(300));
  EXPECT_LE(answer.issued->refresh_at, answer.issued->expires_at);
  EXPECT_EQ(answer.issued->delivery.files.at(0).content->Reveal(),
            FormatRfc3339(answer.issued->expires_at));
  EXPECT_EQ(Get().issued->expires_at, answer.issued->expires_at) << "from the cache too";
}

TEST_F(BrokerTest, AnExchangeThatTakesLongerThanTheLimitIsARefusalThatSaysSo) {
  resources_.grants[0].max_ttl = seconds(10);
  kv_->took = seconds(11);
  Make();
  const BrokerAnswer answer = Get();
  EXPECT_FALSE(answer.issued);
  EXPECT_EQ(answer.refusal.code, Code::kUnavailable);
  EXPECT_THAT(answer.refusal.fact, HasSubstr("took longer than max_ttl"));
  EXPECT_THAT(answer.refusal.fix, HasSubstr("longer max_ttl"));
}

TEST_F(BrokerTest, CallersWithAnotherLimitGetACredentialOfTheirOwn) {
  resources_.grants[0].selectors = SelectorSet({Selector{"unix", "uid:1"}});
  GrantResource limited = resources_.grants[0];
  limited.name = "web-to-kv-limited";
  limited.selectors = SelectorSet({Selector{"unix", "uid:2"}});
  limited.max_ttl = minutes(5);
  resources_.grants.push_back(limited);
  kv_->life = minutes(60);
  Make();
  CredentialQuery unlimited = Query();
  unlimited.subject.selectors = resources_.grants[0].selectors;
  CredentialQuery short_lived = Query();
  short_lived.subject.selectors = limited.selectors;
  EXPECT_EQ(SecretOf(Get(unlimited)), "secret-1");
  const BrokerAnswer answer = Get(short_lived);
  EXPECT_EQ(SecretOf(answer), "secret-2");
  EXPECT_EQ(answer.issued->expires_at, clock_.Now() + minutes(5));
  const BrokerAnswer again = Get(unlimited);
  EXPECT_EQ(SecretOf(again), "secret-1");
  EXPECT_EQ(again.issued->expires_at, clock_.Now() + minutes(60));
}

TEST_F(BrokerTest, ACredentialNearItsEndIsNotHandedOutAgain) {
  kv_->life = minutes(10);
  Make();
  EXPECT_EQ(SecretOf(Get()), "secret-1");
  clock_.Advance(seconds(571));
  EXPECT_EQ(SecretOf(Get()), "secret-2");
}

TEST_F(BrokerTest, MoreLifeThanIsLeftMeansAFreshOne) {
  kv_->life = minutes(10);
  Make();
  CredentialQuery query = Query();
  query.min_ttl = seconds(3600);
  EXPECT_EQ(SecretOf(Get(query)), "secret-1");
  EXPECT_EQ(SecretOf(Get(query)), "secret-1");
  clock_.Advance(seconds(121));
  EXPECT_EQ(SecretOf(Get(query)), "secret-2");
}

TEST_F(BrokerTest, AVendorsNoIsRemembered) {
  kv_->answers = {FakeFailure(ExchangeFailure::kPolicyDenied)};
  Make();
  const BrokerAnswer first = Get();
  EXPECT_EQ(first.refusal.code, Code::kPermissionDenied);
  EXPECT_THAT(first.refusal.fact,
              HasSubstr("POLICY_DENIED: the vendor says so (its request id: req-failed)"));
  EXPECT_TRUE(first.refusal.retry_at);
  const BrokerAnswer second = Get();
  EXPECT_FALSE(second.issued);
  EXPECT_EQ(kv_->exchanges, 1);
  EXPECT_EQ(audit_.events.back().result, AuditResult::kFailed);
  EXPECT_EQ(audit_.events.back().exchange_id, audit_.events.front().exchange_id);
}

TEST_F(BrokerTest, AnSvidThatTheDestinationWouldNotTakeIsNotFetchedForEveryRequest) {
  jwts_.life = seconds(301);
  Make();
  EXPECT_EQ(Get().refusal.code, Code::kFailedPrecondition);
  EXPECT_EQ(Get().refusal.code, Code::kFailedPrecondition);
  EXPECT_EQ(jwts_.fetches, 1);
  clock_.Advance(seconds(6));
  EXPECT_EQ(Get().refusal.code, Code::kFailedPrecondition);
  EXPECT_EQ(jwts_.fetches, 2);
}

TEST_F(BrokerTest, AHangingVendorHoldsUpNoOther) {
  kv_->hangs = true;
  const auto other = std::make_shared<FakeDestination>();
  other->clock = &clock_;
  resources_.destinations.push_back(FakeDestinationResource("other", other));
  resources_.grants.push_back(FakeGrant("web-to-other", "spiffe://example.org/web", "other"));
  Broker& broker = Make();
  TaskGroup group(io_.get_executor());
  std::vector<BrokerAnswer> hanging;
  for (int i = 0; i < 50; ++i) {
    CredentialQuery query = Query();
    query.parameters = {{"role", std::to_string(i)}};
    group.Spawn("get", GetInto(broker, std::move(query), hanging));
  }
  WaitUntil([this] { return kv_->running == 8; });
  CredentialQuery query = Query(milliseconds(1500));
  query.destination = "other";
  EXPECT_TRUE(Get(query).issued);
  RunTask(io_, broker.Stop());
  WaitFor(group);
  EXPECT_THAT(hanging, SizeIs(50));
  EXPECT_EQ(kv_->most_running, 8);
}

TEST_F(BrokerTest, ACallerThatLeavesDoesNotEndTheExchange) {
  kv_->delay = milliseconds(60);
  Make();
  const BrokerAnswer early = Get(Query(milliseconds(10)));
  EXPECT_EQ(early.refusal.code, Code::kDeadlineExceeded);
  WaitUntil([this] { return broker_->size() == 1; });
  EXPECT_EQ(SecretOf(Get()), "secret-1");
  EXPECT_EQ(kv_->exchanges, 1);
}

TEST_F(BrokerTest, ACancelledCallerDoesNotEndTheExchange) {
  kv_->delay = milliseconds(300);
  Broker& broker = Make();
  std::vector<BrokerAnswer> answers;
  TaskGroup group(io_.get_executor());
  group.Spawn("get", GetInto(broker, Query(), answers));
  WaitUntil([this] { return kv_->running == 1; });
  RunTask(io_, group.Stop());
  EXPECT_TRUE(answers.empty());
  EXPECT_EQ(SecretOf(Get()), "secret-1");
  EXPECT_EQ(kv_->exchanges, 1);
}

TEST_F(BrokerTest, StopRefusesThoseWhoWaitAndMayBeCalledTwice) {
  kv_->hangs = true;
  Broker& broker = Make();
  broker.Start();
  std::vector<BrokerAnswer> answers;
  TaskGroup group(io_.get_executor());
  group.Spawn("get", GetInto(broker, Query(), answers));
  WaitUntil([this] { return kv_->running == 1; });
  RunTask(io_, broker.Stop());
  RunTask(io_, broker.Stop());
  WaitFor(group);
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_EQ(answers[0].refusal.code, Code::kUnavailable);
  EXPECT_EQ(Get().refusal.code, Code::kUnavailable);
}

TEST_F(BrokerTest, AUserWhoFloodsIsNotDecidedAndNotLogged) {
  options_.refusals = {.burst = 5, .per_second = 0.001};
  Make();
  CredentialQuery query = Query();
  query.identities.clear();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Get(query).refusal.code, Code::kPermissionDenied);
  }
  const BrokerAnswer flooded = Get(query);
  EXPECT_EQ(flooded.refusal.code, Code::kResourceExhausted);
  EXPECT_EQ(flooded.decision_id, "");
  EXPECT_THAT(audit_.events, SizeIs(5));
  EXPECT_TRUE(Get().issued) << "an allowed request of the same user goes on";
}

TEST_F(BrokerTest, CredentialsOfOneIdentityAreBounded) {
  options_.max_per_identity = 4;
  Make();
  for (int i = 0; i < 20; ++i) {
    CredentialQuery query = Query();
    query.parameters = {{"role", std::to_string(i)}};
    ASSERT_TRUE(Get(query).issued);
  }
  EXPECT_EQ(broker_->size(), 4U);
}

TEST_F(BrokerTest, ListsTheDestinationsOfTheCaller) {
  Make();
  PolicyQuery query;
  query.identities = Query().identities;
  const auto allowed = broker_->List(query);
  ASSERT_THAT(allowed, SizeIs(1));
  EXPECT_EQ(allowed[0].destination->name, "kv");
}

}  // namespace
}  // namespace credence
