#include "agent/authority/services/authority_state.h"

#include <fstream>
#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/authority/services/agent_api.h"
#include "agent/authority/services/testing/authority_fixture.h"
#include "agent/authority/services/testing/entries.h"
#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using authority::v1::SigningKeyRecord;
using testing::HasSubstr;
using Plan = AuthorityState::Plan;

class AuthorityStateTest : public AuthorityTest {
 protected:
  std::string ActiveId(SigningKeyRecord::Kind kind) {
    return state_->keys().value()->Active(kind).record.id();
  }
};

TEST_F(AuthorityStateTest, WhatWasWrittenIsThereAfterARestart) {
  ASSERT_THAT(PutEntry(EntryOf("a", "/web", "/n")), IsOk());
  authority::v1::AgentRecord agent;
  agent.set_id("spiffe://example.org/spire/agent/join_token/a");
  ASSERT_THAT(PutAgent(agent), IsOk());
  const std::string ca = ActiveId(SigningKeyRecord::X509);
  const std::string bundle = state_->Bundle().SerializeAsString();
  Reopen();
  EXPECT_NE(state_->tables().entries.Find("a"), nullptr);
  EXPECT_TRUE(state_->tables().agents.contains(agent.id()));
  EXPECT_EQ(ActiveId(SigningKeyRecord::X509), ca);
  EXPECT_EQ(state_->Bundle().SerializeAsString(), bundle);
}

TEST_F(AuthorityStateTest, APlanSeesWhatThoseBeforeItHaveDone) {
  const auto count_up = [](const AuthorityTables& tables) -> Result<Plan> {
    authority::v1::JoinTokenRecord record;
    const auto found = tables.join_tokens.find("counter");
    record.set_token("counter");
    record.set_expires_at(found == tables.join_tokens.end() ? 4'000'000'000
                                                            : found->second.expires_at() + 1);
    return Plan{{{Table::kJoinTokens, "counter", record.SerializeAsString()}},
                [record](AuthorityTables& changed) { changed.join_tokens["counter"] = record; }};
  };
  TaskGroup tasks(io_.get_executor());
  int done = 0;
  // A pointer as a parameter: a capturing lambda is no coroutine here.
  const auto write =
      [](AuthorityState* state, AuthorityState::Planner plan, int* count) -> Task<void> {
    const auto written = co_await state->Write(std::move(plan));
    *count += written.ok() ? 1 : 0;
  };
  constexpr int kWriters = 20;
  for (int i = 0; i < kWriters; ++i) {
    tasks.Spawn("write", write(state_.get(), count_up, &done));
  }
  const Deadline end = Deadline::After(std::chrono::seconds(20));
  while (done < kWriters && !end.Passed()) {
    io_.run_for(std::chrono::milliseconds(1));
    io_.restart();
  }
  EXPECT_EQ(done, kWriters);
  EXPECT_EQ(state_->tables().join_tokens.at("counter").expires_at(), 4'000'000'000 + kWriters - 1);
  RunTask(io_, tasks.Stop());
}

TEST_F(AuthorityStateTest, MoreChangesThanCanWaitAreRefusedAndTheRestGoesOn) {
  ASSERT_THAT(PutEntry(EntryOf("a", "/web", "/n")), IsOk());
  std::promise<void> disk;
  asio::post(pool_, [&disk] { disk.get_future().wait(); });
  const auto nothing = [](const AuthorityTables&) -> Result<Plan> {
    return Plan{{{Table::kFacts, "test", "x"}}, [](AuthorityTables&) {}};
  };
  TaskGroup tasks(io_.get_executor());
  int stored = 0;
  int refused = 0;
  const auto write =
      [](AuthorityState* state, AuthorityState::Planner plan, int* good, int* bad) -> Task<void> {
    const auto written = co_await state->Write(std::move(plan));
    ++(written.ok() ? *good : *bad);
  };
  constexpr int kWriters = 1100;
  for (int i = 0; i < kWriters; ++i) {
    tasks.Spawn("write", write(state_.get(), nothing, &stored, &refused));
  }
  io_.restart();
  io_.run_for(std::chrono::milliseconds(500));
  io_.restart();
  EXPECT_GT(refused, 0);
  EXPECT_EQ(stored, 0);
  disk.set_value();
  const Deadline end = Deadline::After(std::chrono::seconds(60));
  while (stored + refused < kWriters && !end.Passed()) {
    io_.run_for(std::chrono::milliseconds(1));
    io_.restart();
  }
  EXPECT_EQ(stored + refused, kWriters);
  EXPECT_GE(stored, 1000);
  RunTask(io_, tasks.Stop());
}

TEST_F(AuthorityStateTest, APlanThatFailsOrCannotBeStoredChangesNothing) {
  EXPECT_THAT(Write([](const AuthorityTables&) -> Result<Plan> {
                return Error(Code::kAlreadyExists, "no");
              }),
              FailsWithCode(Code::kAlreadyExists));
  const std::string too_long(std::size_t{5} << 20, 'x');
  bool applied = false;
  EXPECT_FALSE(Write([&](const AuthorityTables&) -> Result<Plan> {
                 return Plan{{{Table::kEntries, "a", too_long}},
                             [&applied](AuthorityTables&) { applied = true; }};
               }).ok());
  EXPECT_FALSE(applied);
  EXPECT_THAT(PutEntry(EntryOf("b", "/web", "/n")), IsOk());
}

TEST_F(AuthorityStateTest, RotatingAKeyRaisesTheSequenceAndKeepsTheOldKeyInTheBundle) {
  const std::string before = ActiveId(SigningKeyRecord::JWT);
  const auto sequence = state_->Bundle().sequence_number();
  ASSERT_THAT(RunTask(io_, state_->RotateKey(SigningKeyRecord::JWT, /*taint=*/true)), IsOk());
  EXPECT_NE(ActiveId(SigningKeyRecord::JWT), before);
  const auto bundle = state_->Bundle();
  EXPECT_GT(bundle.sequence_number(), sequence);
  bool found = false;
  for (const auto& key : bundle.jwt_authorities()) {
    if (key.key_id() == before) {
      found = true;
      EXPECT_TRUE(key.tainted());
    }
  }
  EXPECT_TRUE(found);
  const std::string now_active = ActiveId(SigningKeyRecord::JWT);
  Reopen();
  EXPECT_EQ(ActiveId(SigningKeyRecord::JWT), now_active);
  EXPECT_EQ(state_->Bundle().sequence_number(), bundle.sequence_number());
}

TEST_F(AuthorityStateTest, AnUnusedTokenTakesItsAliasEntryAlong) {
  Access access(*state_, clock_);
  AgentApi api(*state_, access, pool_, clock_, {});
  const auto alias =
      std::make_shared<const SpiffeId>(SpiffeId::Parse("spiffe://example.org/node").value());
  std::map<std::string, std::string> entry_of;
  for (const std::string token : {"unused", "later", "used", "changed", "known"}) {
    const std::chrono::seconds life(token == "later" ? 1200 : 600);
    ASSERT_THAT(RunTask(io_, api.CreateJoinToken(life, token, alias)), IsOk());
    entry_of[token] = state_->tables().join_tokens.at(token).alias_entry_id();
  }
  ASSERT_THAT(RunTask(io_, api.CreateJoinToken(std::chrono::seconds(600), "bare", nullptr)),
              IsOk());
  ASSERT_THAT(Write([](const AuthorityTables&) -> Result<Plan> {
                return Plan{{{Table::kJoinTokens, "used", std::nullopt}},
                            [](AuthorityTables& changed) { changed.join_tokens.erase("used"); }};
              }),
              IsOk());
  auto changed = std::make_shared<spire::api::types::Entry>(
      *state_->tables().entries.Find(entry_of["changed"]));
  changed->set_revision_number(1);
  ASSERT_THAT(PutEntry(changed), IsOk());
  authority::v1::AgentRecord agent;
  agent.set_id("spiffe://example.org/spire/agent/join_token/known");
  ASSERT_THAT(PutAgent(agent), IsOk());
  const auto has = [&](const std::string& token) {
    return state_->tables().entries.Find(entry_of[token]) != nullptr;
  };
  // What has expired is forgotten at the start, too.
  const auto forget = [&] {
    const std::size_t before = state_->tables().join_tokens.size();
    Reopen();
    const Deadline end = Deadline::After(std::chrono::seconds(20));
    while (state_->tables().join_tokens.size() == before && !end.Passed()) {
      io_.run_for(std::chrono::milliseconds(1));
      io_.restart();
    }
  };
  clock_.Advance(std::chrono::seconds(601));
  forget();
  EXPECT_EQ(state_->tables().join_tokens.size(), 1U);
  EXPECT_FALSE(has("unused"));
  EXPECT_TRUE(has("later"));
  EXPECT_TRUE(has("used"));
  EXPECT_TRUE(has("changed")) << "an operator has made it their own";
  EXPECT_TRUE(has("known")) << "a node of that name has attested";
  clock_.Advance(std::chrono::seconds(600));
  forget();
  EXPECT_FALSE(has("later"));
  Reopen();
  EXPECT_FALSE(has("unused")) << "it is gone from the disk, too";
}

TEST_F(AuthorityStateTest, AnotherTrustDomainIsRefused) {
  CloseState();
  EXPECT_THAT(
      Load("other.test"),
      FailsWith(Code::kFailedPrecondition, HasSubstr("belongs to trust domain example.org")));
}

TEST_F(AuthorityStateTest, AMissingKeyFileIsNamed) {
  const std::string id = ActiveId(SigningKeyRecord::X509);
  CloseState();
  ASSERT_TRUE(std::filesystem::remove(folder_ + "/keys/" + id + ".pem"));
  EXPECT_THAT(Load(), FailsWith(Code::kDataLoss, HasSubstr(id)));
}

TEST_F(AuthorityStateTest, AKeyFileThatNoRecordNamesIsRemoved) {
  const std::string stray = folder_ + "/keys/0123456789abcdef0123456789abcdef01234567.pem";
  std::ofstream(stray) << "left by a crash\n";
  Reopen();
  EXPECT_FALSE(std::filesystem::exists(stray));
}

TEST_F(AuthorityStateTest, AfterStoppingNothingIsWritten) {
  RunTask(io_, state_->Stop());
  EXPECT_THAT(PutEntry(EntryOf("a", "/web", "/n")), FailsWithCode(Code::kUnavailable));
}

}  // namespace
}  // namespace credence
