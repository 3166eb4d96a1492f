#include "agent/cli/command_line.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>

#include <CLI/CLI.hpp>
#include <gmock/gmock.h>
#include <stdio_ext.h>

#include "agent/cli/commands.h"
#include "agent/cli/testing/run_command.h"
#include "base/core/check.h"

namespace credence {
namespace {

using testing::ExitedWithCode;
using testing::HasSubstr;

/// The whole command line in a process of its own, with standard output going to `fd`.
[[noreturn]] void RunProgram(const std::vector<std::string>& arguments, int fd) {
  dup2(fd, STDOUT_FILENO);
  _exit(RunCommandLine(arguments));
}

class CommandLineTest : public testing::Test {
 protected:
  CommandLineTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

/// The commands of `app` and, after each group, those in it.
std::vector<const CLI::App*> AllCommands(const CLI::App& app) {
  std::vector<const CLI::App*> commands;
  for (const CLI::App* command : app.get_subcommands({})) {
    commands.push_back(command);
    const auto inner = AllCommands(*command);
    commands.insert(commands.end(), inner.begin(), inner.end());
  }
  return commands;
}

TEST_F(CommandLineTest, EveryCommandHasExamplesAndAJsonForm) {
  CLI::App app;
  AddCommands(app, std::make_shared<Action>());
  const auto commands = AllCommands(app);
  EXPECT_GE(commands.size(), 24U);
  for (const CLI::App* command : commands) {
    EXPECT_THAT(command->get_footer(), HasSubstr("Examples:\n")) << command->get_name();
    if (command->get_name() == "completion" || !command->get_subcommands({}).empty()) {
      continue;
    }
    const CLI::Option* output = command->get_option_no_throw("--output");
    ASSERT_NE(output, nullptr) << command->get_name();
    EXPECT_THAT(output->get_description(), HasSubstr("json")) << command->get_name();
  }
}

TEST_F(CommandLineTest, WhatACommandDoesNotTakeIsNamedAsItWasGiven) {
  const auto result = RunCommand({"entry", "delete", "-spiffeID", "x"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(
      result.err,
      HasSubstr(
          "credence entry delete does not take --spiffeID x; see credence entry delete --help"));
}

TEST_F(CommandLineTest, OutputThatCannotBeWrittenIsAFailure) {
  const std::string why = "credence: write standard output: no space left on device";
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {"version"}, {"version", "--output", "json"}, {"--help"}, {"get", "--help"}}) {
    EXPECT_EXIT(RunProgram(arguments, open("/dev/full", O_WRONLY)), ExitedWithCode(1), why);
    EXPECT_EXIT(RunProgram(arguments, open("/dev/null", O_WRONLY)), ExitedWithCode(0), "");
  }
}

TEST_F(CommandLineTest, AnotherFailureKeepsItsCode) {
  EXPECT_EXIT(RunProgram({"list", "--socket", "/none/api.sock", "--output", "json"},
                         open("/dev/full", O_WRONLY)),
              ExitedWithCode(5),
              "");
  EXPECT_EXIT(RunProgram({"nonsense"}, STDERR_FILENO), ExitedWithCode(2), "");
}

TEST_F(CommandLineTest, RunAndCheckSayMistakesAsJson) {
  for (const char* command : {"run", "check"}) {
    EXPECT_EXIT(
        RunProgram({command, "-config", "/none/agent.conf", "-output", "json"}, STDERR_FILENO),
        ExitedWithCode(3),
        "\"file\": \"/none/agent.conf\"");
  }
}

/// What bash offers for `words`, the last of which is being typed.
[[noreturn]] void Complete(const std::string& words) {
  const std::string script = "source /dev/stdin; COMP_WORDS=(" + words +
                             "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _credence; "
                             "echo \"[${COMPREPLY[*]}]\" >&2";
  std::array<int, 2> ends{};
  CREDENCE_CHECK(pipe(ends.data()) == 0);
  // What the test program itself has said is not for the shell.
  __fpurge(stdout);
  dup2(ends[1], STDOUT_FILENO);
  CREDENCE_CHECK(RunCommandLine({"completion", "bash"}) == 0);
  close(ends[1]);
  close(STDOUT_FILENO);
  dup2(ends[0], STDIN_FILENO);
  execlp("bash", "bash", "-c", script.c_str(), nullptr);
  _exit(1);
}

TEST_F(CommandLineTest, BashCompletesCommandsAndTheirFlags) {
  EXPECT_EXIT(Complete("credence st"), ExitedWithCode(0), "\\[status\\]");
  EXPECT_EXIT(Complete("credence exec --de"), ExitedWithCode(0), "\\[--destination\\]");
  EXPECT_EXIT(Complete("credence exec -d kv -- --de"), ExitedWithCode(0), "\\[\\]");
  EXPECT_EXIT(Complete("credence entry c"), ExitedWithCode(0), "\\[create count\\]");
  EXPECT_EXIT(Complete("credence entry create --sp"), ExitedWithCode(0), "\\[--spiffeID\\]");
}

TEST_F(CommandLineTest, EveryShellGetsAScript) {
  EXPECT_EXIT(RunProgram({"completion", "zsh"}, STDERR_FILENO), ExitedWithCode(0), "bashcompinit");
  EXPECT_EXIT(RunProgram({"completion", "fish"}, STDERR_FILENO),
              ExitedWithCode(0),
              "__fish_seen_subcommand_from get' -l min-ttl -d 'Seconds the");
  EXPECT_EXIT(RunProgram({"completion", "fish"}, STDERR_FILENO),
              ExitedWithCode(0),
              "from entry; and __fish_seen_subcommand_from create' -l spiffeID -d 'SPIFFE");
  EXPECT_EXIT(RunProgram({"completion", "csh"}, STDERR_FILENO), ExitedWithCode(2), "csh");
}

TEST_F(CommandLineTest, AnUnusableAddressIsBadUsageInBothForms) {
  EXPECT_EXIT(RunProgram({"list", "--socket", "tcp://127.0.0.1:1"}, STDERR_FILENO),
              ExitedWithCode(2),
              "credence: --socket is \"tcp://127.0.0.1:1\"");
  EXPECT_EXIT(
      RunProgram({"get", "kv", "--socket", "tcp://127.0.0.1:1", "--output", "json"}, STDERR_FILENO),
      ExitedWithCode(2),
      "\"code\": \"INVALID_ARGUMENT\"");
}

}  // namespace
}  // namespace credence
