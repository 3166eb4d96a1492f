#include "attestors/node/join_token/join_token_attestor.h"

#include <chrono>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"

namespace credence {
namespace {

using testing::HasSubstr;

const std::string kToken = "2f6d7ad2-90ea-4f1c-8d7d-6d0a0a4c6d0f";

Deadline Soon() {
  return Deadline::After(std::chrono::seconds(5));
}

SharedSecret Token(std::string_view text) {
  return std::make_shared<const SecretBytes>(SecretBytes::CopyOf(text));
}

TEST(JoinTokenAttestorTest, PayloadIsTheBareToken) {
  JoinTokenAttestor attestor(Token(kToken));
  EXPECT_EQ(attestor.name(), "join_token");
  const auto attestation = attestor.Start();
  EXPECT_THAT(RunTask(attestation->Payload(Soon())), IsOkAndHolds(kToken));
}

TEST(JoinTokenAttestorTest, MissingTokenFailsWithAdvice) {
  for (const auto& token : {SharedSecret(), Token("")}) {
    JoinTokenAttestor attestor(token);
    const auto attestation = attestor.Start();
    EXPECT_THAT(RunTask(attestation->Payload(Soon())),
                FailsWith(Code::kFailedPrecondition, HasSubstr("spire-server token generate")));
  }
}

TEST(JoinTokenAttestorTest, ChallengeIsAProtocolError) {
  JoinTokenAttestor attestor(Token(kToken));
  const auto attestation = attestor.Start();
  EXPECT_THAT(RunTask(attestation->Answer("challenge", Soon())),
              FailsWithCode(Code::kFailedPrecondition));
}

}  // namespace
}  // namespace credence
