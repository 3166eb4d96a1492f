#include "agent/cli/agent_client.h"

#include <sys/eventfd.h>

#include <future>

#include <gmock/gmock.h>

#include "agent/cli/testing/fake_agent.h"
#include "base/core/unique_fd.h"

#include "google/rpc/status.pb.h"

namespace credence {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;

credential::v1::GetCredentialRequest For(const std::string& destination) {
  credential::v1::GetCredentialRequest request;
  request.set_destination(destination);
  return request;
}

TEST(AgentClientTest, WE_6_EveryCallCarriesTheSecurityHeader) {
  const FakeAgent agent([](int, const auto& request, auto& response) {
    response.set_destination(request.destination());
    return grpc::Status::OK;
  });
  const AgentClient client(agent.socket(), seconds(10));
  const auto outcome = client.GetCredential(For("kv"));
  ASSERT_NE(outcome.reply, nullptr) << outcome.refused.error;
  EXPECT_EQ(outcome.reply->destination(), "kv");
  EXPECT_NE(client.ListDestinations().reply, nullptr);
  EXPECT_NE(client.GetStatus().reply, nullptr);
}

TEST(AgentClientTest, ARefusalSaysWhatDifferedAndWhatHelps) {
  const FakeAgent agent([](int, const auto&, auto&) {
    credential::v1::Refusal refusal;
    refusal.set_fact("the fact");
    refusal.set_fix("the fix");
    refusal.set_decision_id("d1");
    google::rpc::Status details;
    details.add_details()->PackFrom(refusal);
    return grpc::Status(
        grpc::StatusCode::PERMISSION_DENIED, "no grant fits", details.SerializeAsString());
  });
  const auto outcome = AgentClient(agent.socket(), seconds(10)).GetCredential(For("kv"));
  EXPECT_EQ(outcome.reply, nullptr);
  EXPECT_EQ(outcome.refused.error.code(), Code::kPermissionDenied);
  EXPECT_EQ(outcome.refused.error.message(), "no grant fits");
  EXPECT_EQ(outcome.refused.fact, "the fact");
  EXPECT_EQ(outcome.refused.fix, "the fix");
  EXPECT_EQ(outcome.refused.decision_id, "d1");
}

TEST(AgentClientTest, WhatAServerSaidCarriesNothingForATerminal) {
  const FakeAgent agent([](int, const auto&, auto&) {
    credential::v1::Refusal refusal;
    refusal.set_fact("\x1b[2Jfact");
    refusal.set_fix("fix\n");
    google::rpc::Status details;
    details.add_details()->PackFrom(refusal);
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "\x1b[2J\xff", details.SerializeAsString());
  });
  const auto outcome = AgentClient(agent.socket(), seconds(10)).GetCredential(For("kv"));
  EXPECT_EQ(outcome.refused.error.message(), "?[2J?");
  EXPECT_EQ(outcome.refused.fact, "?[2Jfact");
  EXPECT_EQ(outcome.refused.fix, "fix?");
}

/// An agent that does not answer while this lives.
struct SilentAgent {
  std::promise<void> end;
  FakeAgent agent{[this](int, const auto&, auto&) {
    end.get_future().wait();
    return grpc::Status::OK;
  }};
  ~SilentAgent() { end.set_value(); }
};

TEST(AgentClientTest, ACallEndsWhenItIsInterrupted) {
  const SilentAgent silent;
  const UniqueFd interrupt(eventfd(1, EFD_CLOEXEC));
  const auto outcome =
      AgentClient(silent.agent.socket(), seconds(600)).GetCredential(For("kv"), {interrupt.get()});
  EXPECT_EQ(outcome.reply, nullptr);
  EXPECT_EQ(outcome.refused.error.code(), Code::kCancelled);
}

TEST(AgentClientTest, ACallThatTakesTooLongSaysHowLong) {
  const SilentAgent silent;
  const auto outcome =
      AgentClient(silent.agent.socket(), milliseconds(100)).GetCredential(For("kv"));
  EXPECT_EQ(outcome.refused.error.code(), Code::kDeadlineExceeded);
  EXPECT_THAT(outcome.refused.error.message(), HasSubstr("did not answer within 100ms"));
  EXPECT_THAT(outcome.refused.fix, HasSubstr("--timeout"));
}

TEST(AgentClientTest, AMissingSocketIsNamedWithTheFix) {
  const auto outcome = AgentClient("/none/api.sock", seconds(1)).GetStatus();
  EXPECT_EQ(outcome.refused.error.code(), Code::kUnavailable);
  EXPECT_THAT(outcome.refused.error.message(),
              AllOf(HasSubstr("no agent answers on /none/api.sock"), HasSubstr("no such file")));
  EXPECT_THAT(outcome.refused.fix, AllOf(HasSubstr("credence run"), HasSubstr("--socket")));
}

TEST(AgentClientTest, WipingLeavesNoSecretOfAReply) {
  credential::v1::GetCredentialResponse reply;
  (*reply.mutable_fields())["token"] = "secret";
  (*reply.mutable_delivery()->mutable_env())["TOKEN"] = "secret";
  reply.mutable_delivery()->add_files()->set_content("secret");
  WipeSecrets(reply);
  EXPECT_EQ(reply.fields().at("token"), "");
  EXPECT_EQ(reply.delivery().env().at("TOKEN"), "");
  EXPECT_EQ(reply.delivery().files(0).content(), "");
}

}  // namespace
}  // namespace credence
