#include "agent/cli/child_process.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

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
  auto child = ChildProcess::Start({"sh", "-c", script}, set, unset, HeldSignals());
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

TEST(ChildProcessTest, PassesSignalsOn) {
  auto child = ChildProcess::Start(
      {"sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done"}, {}, {}, HeldSignals());
  ASSERT_THAT(child, IsOk());
  ASSERT_EQ(child->Wait(Deadline::After(milliseconds(300))), std::nullopt);
  kill(getpid(), SIGTERM);
  EXPECT_THAT(child->Wait(Deadline::After(seconds(10))), Optional(5));
}

TEST(ChildProcessTest, WaitEndsAtItsDeadlineWhileTheCommandRuns) {
  auto child = ChildProcess::Start({"sleep", "0.4"}, {}, {}, HeldSignals());
  ASSERT_THAT(child, IsOk());
  EXPECT_EQ(child->Wait(Deadline::After(milliseconds(50))), std::nullopt);
  EXPECT_THAT(child->Wait(Deadline::After(seconds(10))), Optional(0));
}

TEST(ChildProcessTest, NamesACommandThatIsNotThere) {
  EXPECT_THAT(ChildProcess::Start({"credence-no-such-command"}, {}, {}, HeldSignals()),
              FailsWith(Code::kNotFound, HasSubstr("run credence-no-such-command: no such file")));
}

}  // namespace
}  // namespace credence
