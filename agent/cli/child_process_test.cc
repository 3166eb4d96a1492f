#include "agent/cli/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include <gmock/gmock.h>

#include "base/core/check.h"
#include "base/core/deadline.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/unique_fd.h"

namespace credence {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Optional;

/// Until `time` is over also when somebody sets the clock meanwhile.
std::optional<int> WaitFor(ChildProcess& child, std::chrono::nanoseconds time) {
  const Deadline end = Deadline::After(time);
  std::optional<int> exit_code;
  while (!exit_code && !end.Passed()) {
    exit_code = child.Wait(end.Remaining());
  }
  return exit_code;
}

std::optional<int> ExitOf(const std::string& script,
                          const std::map<std::string, std::string>& set = {},
                          const std::set<std::string>& unset = {}) {
  auto child = ChildProcess::Start({"sh", "-c", script}, set, unset, HeldState());
  EXPECT_THAT(child, IsOk());
  return WaitFor(*child, seconds(10));
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
  EXPECT_THAT(WaitFor(*child, seconds(10)), Optional(0));
}

TEST(ChildProcessTest, PassesSignalsOn) {
  auto child = ChildProcess::Start(
      {"sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done"}, {}, {}, HeldState());
  ASSERT_THAT(child, IsOk());
  ASSERT_EQ(WaitFor(*child, milliseconds(300)), std::nullopt);
  kill(getpid(), SIGTERM);
  EXPECT_THAT(WaitFor(*child, seconds(10)), Optional(5));
}

/// A command that says nothing about signals, started with none blocked, though a HeldState of this
/// process was there before.
Result<ChildProcess> StartSleep() {
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
  return ChildProcess::Start({"sleep", "10"}, {}, {}, HeldState());
}

TEST(ChildProcessTest, PassesOnWhateverWouldEndUs) {
  for (const int number : {SIGHUP,
                           SIGUSR1,
                           SIGALRM,
                           SIGXCPU,
                           SIGVTALRM,
                           SIGPROF,
                           SIGIO,
                           SIGPWR,
                           SIGRTMIN,
                           SIGRTMIN + 5,
                           SIGRTMAX}) {
    auto child = StartSleep();
    ASSERT_THAT(child, IsOk());
    kill(getpid(), number);
    EXPECT_THAT(WaitFor(*child, seconds(5)), Optional(128 + number)) << number;
  }
}

TEST(ChildProcessTest, AnAlarmThatWasSetBeforeUsEndsTheCommand) {
  auto child = StartSleep();
  ASSERT_THAT(child, IsOk());
  const itimerval soon{{}, {0, 10'000}};
  ASSERT_EQ(setitimer(ITIMER_REAL, &soon, nullptr), 0);
  EXPECT_THAT(WaitFor(*child, seconds(5)), Optional(128 + SIGALRM));
}

/// Leads the session of a terminal, which hangs up while the command runs.
[[noreturn]] void RunOnATerminalThatHangsUp() {
  UniqueFd master(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  std::array<char, 64> name{};
  CREDENCE_CHECK(grantpt(master.get()) == 0 && unlockpt(master.get()) == 0 &&
                 ptsname_r(master.get(), name.data(), name.size()) == 0);
  CREDENCE_CHECK(setsid() > 0);
  const UniqueFd terminal(open(name.data(), O_RDWR));
  CREDENCE_CHECK(terminal.valid());
  signal(SIGHUP, SIG_DFL);
  auto child = StartSleep();
  master = UniqueFd();
  _exit(WaitFor(*child, seconds(5)) == 128 + SIGHUP ? 0 : 1);
}

TEST(ChildProcessTest, TheCommandHearsThatTheTerminalHasHungUp) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(RunOnATerminalThatHangsUp(), testing::ExitedWithCode(0), "");
}

TEST(ChildProcessTest, WaitsOnTheWallClockAndForItsBeingSet) {
  // 03: TFD_TIMER_ABSTIME and TFD_TIMER_CANCEL_ON_SET.
  EXPECT_THAT(
      ExitOf("while :; do for held in /proc/$PPID/fdinfo/*; do grep -qsx 'clockid: 0' $held "
             "&& grep -qsx 'settime flags: 03' $held && exit 0; done; sleep 0.05; done"),
      Optional(0));
}

TEST(ChildProcessTest, WaitEndsAtItsDeadlineWhileTheCommandRuns) {
  auto child = ChildProcess::Start({"sleep", "2"}, {}, {}, HeldState());
  ASSERT_THAT(child, IsOk());
  EXPECT_EQ(WaitFor(*child, milliseconds(50)), std::nullopt);
  EXPECT_THAT(WaitFor(*child, seconds(10)), Optional(0));
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
