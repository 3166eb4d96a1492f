#include <gmock/gmock.h>

#include "agent/cli/testing/fake_agent.h"
#include "agent/cli/testing/run_command.h"

namespace credence {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(CommandStatusTest, WhatAServerSaidCarriesNothingForATerminal) {
  FakeAgent::Answers answers;
  answers.status.set_sync_error("\x1b[2Jgone");
  answers.status.add_warnings("a\nb");
  const FakeAgent agent([](int, const auto&, auto&) { return grpc::Status::OK; }, answers);
  const auto shown = RunCommand({"status", "--socket", agent.socket()});
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(shown.out,
              AllOf(HasSubstr("sync error     ?[2Jgone\n"), HasSubstr("warning        a?b\n")));
  const auto json = RunCommand({"status", "--socket", agent.socket(), "--output", "json"});
  EXPECT_THAT(json.out, Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace credence
