#include "agent/cli/child_process.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include <gmock/gmock.h>

#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Optional;

std::optional<int> ExitOf(const std::string& script,
                          const std::map<std::string, std::string>& set = {},
                          const std::set<std::string>& unset = {}) {
  auto child = ChildProcess::Start({"sh", "-c", script}, set, unset, HeldState());
  EXPECT_THAT(child, IsOk());
  return child->Wait(Deadline::After(seconds(10)));
}

TEST(ChildProcessTest, PassesOnTheExitCode) {
  EXPECT_THAT(ExitOf("exit 7"), Optional(7));
  EXPECT_THAT(ExitOf("kill -KILL $$"), Optional(128 + SIGKILL));
}

TEST(ChildProcessTest, ChangesTheEnvironmentAsAsked) {
  setenv("CREDENCE_TEST_OLD", "old", 1);
  setenv("CREDENCE_TEST_KEPT", "kept", 1);
  EXPECT_THAT(ExitOf("test \"$A\" = 'x y' && test -z \"$CREDENCE_TEST_OLD\" && test "
                     "\"$CREDENCE_TEST_KEPT\" = kept",
                     {{"A", "x y"}},
                     {"CREDENCE_TEST_OLD"}),
              Optional(0));
}

TEST(ChildProcessTest, TheCommandHasTheSignalsAndTheCoreLimitThatWeHad) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_CORE, &limit), 0);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 1 << 20);
  ASSERT_EQ(setrlimit(RLIMIT_CORE, &limit), 0);
  EXPECT_THAT(ExitOf("while read -r a b c d size rest; do "
                     "test \"$a $b\" = 'Max core' && exec test \"$size\" = " +
                     std::to_string(limit.rlim_cur) + "; done </proc/self/limits"),
              Optional(0));
  sigset_t none;
  sigset_t before;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, &before);
  EXPECT_THAT(ExitOf("kill -PIPE $$"), Optional(128 + SIGPIPE));
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
  EXPECT_THAT(ExitOf("kill -INT $$"), Optional(128 + SIGINT));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST(ChildProcessTest, SaysThroughItsDescriptorsThatTheCommandHasEnded) {
  auto child = ChildProcess::Start({"true"}, {}, {}, HeldState());
  ASSERT_THAT(child, IsOk());
  std::vector<pollfd> watched;
  for (const int fd : child->events()) {
    watched.push_back({fd, POLLIN, 0});
  }
  EXPECT_GT(poll(watched.data(), watched.size(), 10'000), 0);
  EXPECT_THAT(child->Wait(Deadline::After(seconds(10))), Optional(0));
}

TEST(ChildProcessTest, PassesSignalsOn) {
  auto child = ChildProcess::Start(
      {"sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done"}, {}, {}, HeldState());
  ASSERT_THAT(child, IsOk());
  ASSERT_EQ(child->Wait(Deadline::After(milliseconds(300))), std::nullopt);
  kill(getpid(), SIGTERM);
  EXPECT_THAT(child->Wait(Deadline::After(seconds(10))), Optional(5));
}

TEST(ChildProcessTest, WaitEndsAtItsDeadlineWhileTheCommandRuns) {
  auto child = ChildProcess::Start({"sleep", "0.4"}, {}, {}, HeldState());
  ASSERT_THAT(child, IsOk());
  EXPECT_EQ(child->Wait(Deadline::After(milliseconds(50))), std::nullopt);
  EXPECT_THAT(child->Wait(Deadline::After(seconds(10))), Optional(0));
}

TEST(ChildProcessTest, SaysThatACommandIsNotExecutable) {
  EXPECT_THAT(ChildProcess::Start({"/etc/passwd"}, {}, {}, HeldState()),
              FailsWith(Code::kPermissionDenied, HasSubstr("run /etc/passwd: permission denied")));
}

TEST(ChildProcessTest, NamesACommandThatIsNotThere) {
  EXPECT_THAT(ChildProcess::Start({"credence-no-such-command"}, {}, {}, HeldState()),
              FailsWith(Code::kNotFound, HasSubstr("run credence-no-such-command: no such file")));
}

}  // namespace
}  // namespace credence
