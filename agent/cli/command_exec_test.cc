#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "agent/cli/command_line.h"
#include "agent/cli/testing/fake_agent.h"
#include "base/core/clock.h"
#include "base/core/secret_bytes.h"

namespace credence {
namespace {

using testing::ExitedWithCode;

/// A credential as variable TOKEN, due for renewal at once.
grpc::Status Give(FakeAgent::Response& response, const std::string& token = "secret") {
  const std::int64_t now = ToUnixSeconds(SystemClock().Now());
  response.set_expires_at(now + 600);
  response.set_refresh_at(now);
  (*response.mutable_delivery()->mutable_env())["TOKEN"] = token;
  return grpc::Status::OK;
}

grpc::Status Deny() {
  return grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "no grant fits");
}

int Exec(const FakeAgent& agent, const std::string& script, std::vector<std::string> flags = {}) {
  std::vector<std::string> arguments{"exec", "--socket", agent.socket(), "-d", "kv"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  arguments.insert(arguments.end(), {"--", "sh", "-c", script});
  return RunCommandLine(arguments);
}

class CommandExecTest : public testing::Test {
 protected:
  CommandExecTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(CommandExecTest, TheCommandHasTheCredentialAndItsExitCodeIsOurs) {
  const FakeAgent agent([](int, const auto&, auto& response) { return Give(response); });
  EXPECT_EQ(Exec(agent, "test \"$TOKEN\" = secret && exit 7"), 7);
}

TEST_F(CommandExecTest, EveryWordAfterTheMarkArrivesAsItIs) {
  const FakeAgent agent([](int, const auto&, auto& response) { return Give(response); });
  const std::string script =
      "test $# = 6 && test \"$1\" = '[a,b]' && test \"$2\" = '[]' && test \"$3\" = '' && "
      "test \"$4\" = -output && test \"$5\" = -- && test \"$6\" = get";
  EXPECT_EQ(RunCommandLine({"exec",
                            "--socket",
                            agent.socket(),
                            "-d",
                            "kv",
                            "--",
                            "sh",
                            "-c",
                            script,
                            "x",
                            "[a,b]",
                            "[]",
                            "",
                            "-output",
                            "--",
                            "get"}),
            0);
}

TEST_F(CommandExecTest, ACommandThatDoesNotStandBehindTheMarkIsBadUsage) {
  using Words = std::vector<std::string>;
  for (const Words& words : {Words{"exec", "-d", "kv", "true"},
                             Words{"exec", "-d", "kv", "true", "--", "true"},
                             Words{"exec", "-d", "kv", "--"},
                             Words{"exec", "-d", "kv"}}) {
    testing::internal::CaptureStderr();
    EXPECT_EQ(RunCommandLine(words), 2);
    EXPECT_THAT(testing::internal::GetCapturedStderr(),
                testing::HasSubstr("write the command after --"));
  }
}

TEST_F(CommandExecTest, AFileIsInThePrivateFolderAndGoesWithTheCommand) {
  const FakeAgent agent([](int, const auto&, auto& response) {
    auto* file = response.mutable_delivery()->add_files();
    file->set_path("token");
    file->set_mode(0600);
    file->set_content("secret");
    return Give(response, "{{dir}}/token");
  });
  const std::string seen = agent.folder() + "/seen";
  EXPECT_EQ(Exec(agent, "test \"$(cat \"$TOKEN\")\" = secret && echo \"$TOKEN\" >" + seen), 0);
  std::string path;
  std::ifstream(seen) >> path;
  EXPECT_TRUE(path.ends_with("/kv/token")) << path;
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(path).parent_path().parent_path()));
}

/// The agent refuses; the command's output goes to standard error.
[[noreturn]] void RunRefused(const std::vector<std::string>& flags) {
  const FakeAgent agent([](int, const auto&, auto&) { return Deny(); });
  dup2(STDERR_FILENO, STDOUT_FILENO);
  _exit(Exec(agent, "echo ran", flags));
}

TEST_F(CommandExecTest, ARefusalIsTextOrJsonAndTheCommandDoesNotRun) {
  EXPECT_EXIT(RunRefused({}), ExitedWithCode(4), "credence: denied: no grant fits\n");
  EXPECT_EXIT(
      RunRefused({"--output", "json"}), ExitedWithCode(4), "\"message\": \"no grant fits\"");
}

/// `number` comes while the credential is being fetched.
[[noreturn]] void RunInterrupted(int number) {
  std::promise<void> end;
  const FakeAgent agent([&](int, const auto&, auto& response) {
    kill(getpid(), number);
    end.get_future().wait();
    return Give(response);
  });
  _exit(Exec(agent, "exit 7", {"--timeout", "600"}));
}

TEST_F(CommandExecTest, ASignalWhileTheCredentialIsFetchedEndsItAndTheCommandDoesNotRun) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
    EXPECT_EXIT(RunInterrupted(number), ExitedWithCode(128 + number), "^$") << number;
  }
}

/// A parent that ignores the end of its children hands that down.
[[noreturn]] void RunUnderAParentThatIgnoresChildren() {
  signal(SIGCHLD, SIG_IGN);
  const FakeAgent agent([](int, const auto&, auto& response) { return Give(response); });
  _exit(Exec(agent, "exit 7", {"--timeout", "600"}));
}

TEST_F(CommandExecTest, TheExitCodeIsPassedOnUnderAParentThatIgnoresChildren) {
  EXPECT_EXIT(RunUnderAParentThatIgnoresChildren(), ExitedWithCode(7), "^$");
}

TEST_F(CommandExecTest, TheEndOfTheCommandIsSeenWhileARefreshWaits) {
  std::promise<void> end;
  std::string fifo;
  const FakeAgent agent([&](int number, const auto&, auto& response) {
    if (number > 1) {
      std::ofstream(fifo) << "go\n";
      end.get_future().wait();
    }
    return Give(response);
  });
  fifo = agent.folder() + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  // Only the end of the command can end this within the time that CTest gives.
  EXPECT_EQ(Exec(agent, "read -r line <" + fifo + "; exit 7", {"--timeout", "600"}), 7);
  end.set_value();
}

TEST_F(CommandExecTest, AFailedRefreshIsSaidAndTriedAgain) {
  std::string fifo;
  const FakeAgent agent([&](int number, const auto&, auto& response) {
    if (number == 2) {
      return Deny();
    }
    if (number == 3) {
      std::ofstream(fifo) << "go\n";
    }
    return Give(response);
  });
  fifo = agent.folder() + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  testing::internal::CaptureStderr();
  EXPECT_EQ(Exec(agent, "read -r line <" + fifo + "; exit 7"), 7);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              testing::HasSubstr("kv was not refreshed: no grant fits; the old one ends"));
}

}  // namespace
}  // namespace credence
