#include "base/process/caller.h"

#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "base/process/pinned_process.h"
#include "base/process/testing/child_process.h"
#include "base/process/testing/older_kernel.h"

namespace credence {
namespace {

using testing::HasSubstr;

class CallerTest : public testing::Test {
 protected:
  UnixListener listener_;
};

TEST_F(CallerTest, NamesTheProcessThatConnected) {
  ChildProcess child([this] { return listener_.ConnectAndWait(); });
  const UniqueFd connection = listener_.Accept();
  const auto caller = IdentifyCaller(connection.get());
  ASSERT_THAT(caller, IsOk());
  EXPECT_EQ(caller->pid, child.pid());
  EXPECT_EQ(caller->uid, getuid());
  EXPECT_EQ(caller->gid, getgid());
  EXPECT_TRUE(IsAlive(caller->pidfd.get()));
  // SO_PEERPIDFD came with Linux 6.5; whoever builds on an older kernel sees the other value.
  EXPECT_EQ(caller->assurance, KernelHasPeerPidfd() ? Assurance::kPinned : Assurance::kOpenedByPid);
}

TEST_F(CallerTest, ReportsTheUserAtTheTimeOfConnecting) {
  ChildProcess child([this] {
    if (setresgid(4242, 4242, 4242) != 0 || setresuid(4343, 4343, 4343) != 0) {
      return 1;
    }
    return listener_.ConnectAndWait();
  });
  const UniqueFd connection = listener_.Accept();
  const auto caller = IdentifyCaller(connection.get());
  ASSERT_THAT(caller, IsOk());
  EXPECT_EQ(caller->uid, 4343U);
  EXPECT_EQ(caller->gid, 4242U);
}

TEST_F(CallerTest, AProcessThatEndsIsNoLongerAlive) {
  ChildProcess child([this] { return listener_.ConnectAndWait(); });
  const UniqueFd connection = listener_.Accept();
  const auto caller = IdentifyCaller(connection.get());
  ASSERT_THAT(caller, IsOk());
  child.Kill();
  child.AwaitZombie();
  EXPECT_FALSE(IsAlive(caller->pidfd.get()));
  child.Reap();
  EXPECT_FALSE(IsAlive(caller->pidfd.get()));
}

TEST_F(CallerTest, AProcessDeadBeforeAcceptIsNeverTakenForALiveOne) {
  ChildProcess child([this] { return listener_.Connect() ? 0 : 1; });
  child.Reap();
  const UniqueFd connection = listener_.Accept();
  const auto caller = IdentifyCaller(connection.get());
  if (caller.ok()) {
    EXPECT_EQ(caller->pid, child.pid());
    EXPECT_FALSE(IsAlive(caller->pidfd.get()));
  } else {
    EXPECT_THAT(caller, FailsWithCode(Code::kUnauthenticated));
  }
}

TEST_F(CallerTest, APipeOrATcpSocketHasNoCaller) {
  const UniqueFd tcp(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_THAT(IdentifyCaller(tcp.get()), FailsWithCode(Code::kUnauthenticated));
  EXPECT_FALSE(IdentifyCaller(-1).ok());
  EXPECT_FALSE(IdentifyCaller(STDERR_FILENO).ok());
}

TEST_F(CallerTest, OnAnOlderKernelThePidIsOpenedAndTheCallerSaysSo) {
  ChildProcess client([this] { return listener_.ConnectAndWait(); });
  const UniqueFd connection = listener_.Accept();
  ChildProcess server([&] {
    if (!BecomeOlderKernel()) {
      return 1;
    }
    const auto caller = IdentifyCaller(connection.get());
    if (!caller.ok() || caller->assurance != Assurance::kOpenedByPid) {
      return 2;
    }
    if (caller->pid != client.pid() || !IsAlive(caller->pidfd.get())) {
      return 3;
    }
    return OfferedAssurance() == Assurance::kOpenedByPid ? 0 : 4;
  });
  EXPECT_EQ(server.Reap(), 0);
}

TEST_F(CallerTest, OnAnOlderKernelACallerThatHasEndedIsNobody) {
  ChildProcess client([this] { return listener_.Connect() ? 0 : 1; });
  client.Reap();
  const UniqueFd connection = listener_.Accept();
  ChildProcess server([&] {
    if (!BecomeOlderKernel()) {
      return 1;
    }
    const auto caller = IdentifyCaller(connection.get());
    return !caller.ok() && caller.error().code() == Code::kUnauthenticated ? 0 : 2;
  });
  EXPECT_EQ(server.Reap(), 0);
}

TEST(OfferedAssuranceTest, IsWhatCallersGet) {
  EXPECT_EQ(OfferedAssurance(),
            KernelHasPeerPidfd() ? Assurance::kPinned : Assurance::kOpenedByPid);
}

TEST(IsAliveTest, NoDescriptorIsNoProcess) {
  EXPECT_FALSE(IsAlive(-1));
}

TEST(AssuranceTest, WordsRoundTrip) {
  for (const Assurance assurance : {Assurance::kPinned, Assurance::kOpenedByPid}) {
    EXPECT_THAT(ParseAssurance(AssuranceName(assurance)), IsOkAndHolds(assurance));
  }
  EXPECT_LT(Assurance::kOpenedByPid, Assurance::kPinned);
  EXPECT_THAT(ParseAssurance("Pinned"),
              FailsWith(Code::kInvalidArgument, HasSubstr("opened_by_pid")));
}

}  // namespace
}  // namespace credence
