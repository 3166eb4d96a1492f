#include "agent/cli/held_state.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include <gmock/gmock.h>

#include "base/core/unique_fd.h"

namespace credence {
namespace {

using testing::Optional;

/// Takes a pending signal away, or the next test would find it.
void Take(int number) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  const timespec now{};
  EXPECT_EQ(sigtimedwait(&set, nullptr, &now), number);
}

bool IsReadable(int fd) {
  pollfd watched{fd, POLLIN, 0};
  return poll(&watched, 1, 0) == 1;
}

TEST(HeldStateTest, KeepsASignalThatAsksUsToEnd) {
  const HeldState held;
  EXPECT_EQ(held.EndingSignal(), std::nullopt);
  EXPECT_FALSE(IsReadable(held.ending_fd()));
  raise(SIGTERM);
  EXPECT_THAT(held.EndingSignal(), Optional(SIGTERM));
  EXPECT_TRUE(IsReadable(held.ending_fd()));
  Take(SIGTERM);
  EXPECT_EQ(held.EndingSignal(), std::nullopt);
}

TEST(HeldStateTest, OtherSignalsDoNotAskUsToEnd) {
  const HeldState held;
  for (const int number : {SIGUSR1, SIGWINCH, SIGALRM, SIGXFSZ, SIGRTMIN, SIGRTMAX}) {
    raise(number);
    EXPECT_EQ(held.EndingSignal(), std::nullopt);
    Take(number);
  }
}

TEST(HeldStateTest, ASignalThatWeWereToldToIgnoreDoesNotEndUs) {
  signal(SIGHUP, SIG_IGN);
  {
    const HeldState held;
    raise(SIGHUP);
    EXPECT_EQ(held.EndingSignal(), std::nullopt);
  }
  Take(SIGHUP);
  signal(SIGHUP, SIG_DFL);
}

TEST(HeldStateTest, OutlivesThoseWhoReadItsMessages) {
  const HeldState held;
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  const UniqueFd writer(ends[1]);
  close(ends[0]);
  EXPECT_EQ(write(writer.get(), "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
  EXPECT_EQ(held.EndingSignal(), std::nullopt);
  Take(SIGPIPE);
}

TEST(HeldStateTest, LeavesNoCoreFromNowOn) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_CORE, &before), 0);
  const rlimit wanted{before.rlim_max, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_CORE, &wanted), 0);
  const HeldState held;
  rlimit now{};
  ASSERT_EQ(getrlimit(RLIMIT_CORE, &now), 0);
  EXPECT_LE(now.rlim_cur, 1U);
  EXPECT_EQ(now.rlim_max, before.rlim_max);
  EXPECT_EQ(held.core_limit_before().rlim_cur, before.rlim_max);
}

}  // namespace
}  // namespace credence
