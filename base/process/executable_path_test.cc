#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "base/process/pinned_process.h"
#include "base/process/testing/pinned.h"
#include "base/process/testing/user_namespaces.h"

/// PinnedProcess::PathOfExecutable: whose word a path is.
namespace credence {
namespace {

constexpr const char* kDisguise = "/usr/bin/true";

/// For a child: new namespaces in which /bin/sleep stands at the place of kDisguise.
bool DisguiseSleep(int namespaces) {
  return unshare(namespaces) == 0 &&
         mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         mount("/bin/sleep", kDisguise, nullptr, MS_BIND, nullptr) == 0;
}

bool RunsDisguised(const ChildProcess& child) {
  const std::string link = fmt::format("/proc/{}/exe", child.pid());
  return Eventually([&] { return LinkAt(link) == kDisguise; });
}

/// Tests that make user namespaces.
class PathInUserNamespaceTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!CanMakeUserNamespaces()) {
      GTEST_SKIP() << "the other sanitizers' builds run this: the thread sanitizer's own thread is "
                      "in the way";
    }
  }
};

/// A user without rights; the namespaces that root makes are trusted.
constexpr uid_t kUser = 4343;
constexpr gid_t kGroup = 4242;

bool BecomeUser(uid_t uid = kUser, gid_t gid = kGroup) {
  return setresgid(gid, gid, gid) == 0 && setresuid(uid, uid, uid) == 0;
}

TEST_F(PathInUserNamespaceTest, APathThroughMountsOfAUsersNamespaceIsTheCallersView) {
  ASSERT_EQ(geteuid(), 0U) << "this test changes users and needs root";
  const ChildProcess child([] {
    if (BecomeUser() && DisguiseSleep(CLONE_NEWUSER | CLONE_NEWNS)) {
      execl(kDisguise, "sleep", "60", nullptr);
    }
    return 1;
  });
  ASSERT_TRUE(RunsDisguised(child));
  const auto process = PinnedProcess::Open(CallerOf(child.pid(), kUser, kGroup));
  ASSERT_THAT(process, IsOk());
  EXPECT_THAT(process->PathOfExecutable(), IsOkAndHolds(CallersPath(kDisguise)));
  EXPECT_THAT(process->PathOfExecutable(), IsOkAndHolds(CallersPath(kDisguise)));
}

TEST_F(PathInUserNamespaceTest, APathThroughSomeoneElsesMountsIsTheCallersViewToo) {
  ASSERT_EQ(geteuid(), 0U) << "this test changes users and needs root";
  const Gate disguised;
  const ChildProcess keeper([&] {
    if (!BecomeUser() || !DisguiseSleep(CLONE_NEWUSER | CLONE_NEWNS)) {
      return 1;
    }
    disguised.Open();
    return PauseForEver();
  });
  disguised.Await();
  // This one stays in our namespaces.
  const std::string program = fmt::format("/proc/{}/root{}", keeper.pid(), kDisguise);
  const ChildProcess child([&] {
    execl(program.c_str(), "sleep", "60", nullptr);
    return 1;
  });
  ASSERT_TRUE(RunsDisguised(child));
  const auto process = Pin(child);
  ASSERT_THAT(process, IsOk());
  EXPECT_THAT(process->PathOfExecutable(), IsOkAndHolds(CallersPath(kDisguise)));
}

/// Lets the users of the child's new user namespace stand for those from `first` on.
bool MapUsers(const ChildProcess& child, uid_t first) {
  for (const char* map : {"uid_map", "gid_map"}) {
    std::ofstream file(fmt::format("/proc/{}/{}", child.pid(), map));
    file << fmt::format("0 {} 65536\n", first) << std::flush;
    if (!file) {
      return false;
    }
  }
  return true;
}

TEST_F(PathInUserNamespaceTest, APathInAContainerThatRootMadeWithOtherUsersCounts) {
  ASSERT_EQ(geteuid(), 0U) << "this test maps users and needs root";
  constexpr uid_t kFirst = 100'000;
  const Gate made;
  const Gate mapped;
  const ChildProcess child([&] {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
      return 1;
    }
    made.Open();
    mapped.Await();
    if (BecomeUser(0, 0) && DisguiseSleep(0)) {
      execl(kDisguise, "sleep", "60", nullptr);
    }
    return 1;
  });
  made.Await();
  ASSERT_TRUE(MapUsers(child, kFirst));
  mapped.Open();
  ASSERT_TRUE(RunsDisguised(child));
  const auto process = PinnedProcess::Open(CallerOf(child.pid(), kFirst, kFirst));
  ASSERT_THAT(process, IsOk());
  EXPECT_THAT(process->PathOfExecutable(), IsOkAndHolds(HostPath(kDisguise)));
}

TEST_F(PathInUserNamespaceTest, APathInANamespaceMadeInsideOfAContainerIsTheCallersView) {
  ASSERT_EQ(geteuid(), 0U) << "this test maps users and needs root";
  const Gate made;
  const Gate mapped;
  const ChildProcess child([&] {
    if (unshare(CLONE_NEWUSER) != 0) {
      return 1;
    }
    made.Open();
    mapped.Await();
    // Its maker has the uid 0 here too, but not our user namespace for a parent.
    if (DisguiseSleep(CLONE_NEWUSER | CLONE_NEWNS)) {
      execl(kDisguise, "sleep", "60", nullptr);
    }
    return 1;
  });
  made.Await();
  ASSERT_TRUE(MapUsers(child, 0));
  mapped.Open();
  ASSERT_TRUE(RunsDisguised(child));
  const auto process = Pin(child);
  ASSERT_THAT(process, IsOk());
  EXPECT_THAT(process->PathOfExecutable(), IsOkAndHolds(CallersPath(kDisguise)));
}

TEST_F(PathInUserNamespaceTest, APathThatCountedDoesNotVouchForAnotherMountOfTheSameFile) {
  ASSERT_EQ(geteuid(), 0U) << "this test changes users and needs root";
  const std::string shell = std::filesystem::canonical("/bin/sh").string();
  const Gate started;
  int ends[2] = {-1, -1};
  ASSERT_EQ(pipe(ends), 0);
  const UniqueFd read_end(ends[0]);
  const UniqueFd write_end(ends[1]);
  const ChildProcess child([&] {
    // Taken before the new mounts: it lies on the host's.
    const int host_shell = open(shell.c_str(), O_PATH);
    if (BecomeUser() && unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
        mount(shell.c_str(), kDisguise, nullptr, MS_BIND, nullptr) == 0 &&
        dup2(read_end.get(), STDIN_FILENO) == STDIN_FILENO) {
      const std::string script = fmt::format("read x; exec {} -c 'read x; read x'", kDisguise);
      std::string name = "sh";
      std::string option = "-c";
      std::string command = script;
      const std::array<char*, 4> arguments = {name.data(), option.data(), command.data(), nullptr};
      std::array<char*, 1> environment = {nullptr};
      fexecve(host_shell, arguments.data(), environment.data());
    }
    return 1;
  });
  const std::string link = fmt::format("/proc/{}/exe", child.pid());
  ASSERT_TRUE(Eventually([&] { return LinkAt(link) == shell; }));
  const auto caller = CallerOf(child.pid(), kUser, kGroup);
  const auto process = PinnedProcess::Open(caller);
  ASSERT_THAT(process, IsOk());
  EXPECT_THAT(process->PathOfExecutable(), IsOkAndHolds(HostPath(shell)));
  ASSERT_EQ(write(write_end.get(), "\n", 1), 1);
  ASSERT_TRUE(RunsDisguised(child));
  EXPECT_THAT(process->PathOfExecutable(), IsOkAndHolds(CallersPath(kDisguise)));
}

int ExitCodeOf(ChildProcess& child) {
  const int status = child.Reap();
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// In the mount namespace of process 1: 0 if an agent in another one knows the path of a process
/// that has changed its root.
int FindPathOfChrootedDaemon() {
  // Started in this namespace: what runs already was started through mounts of an earlier one.
  const ChildProcess daemon([] {
    execl("/usr/bin/perl", "perl", "-e", "chroot('/proc') && sleep 60", nullptr);
    return 1;
  });
  const std::string root = fmt::format("/proc/{}/root", daemon.pid());
  if (!Eventually([&] { return LinkAt(root) == "/proc"; })) {
    return 1;
  }
  ChildProcess agent([&] {
    if (unshare(CLONE_NEWNS) != 0) {
      return 2;
    }
    const auto process = PinnedProcess::Open(CallerOf(daemon.pid()));
    if (!process.ok()) {
      return 3;
    }
    const auto path = process->PathOfExecutable();
    return path.ok() && !path->callers_view ? 0 : 4;
  });
  return ExitCodeOf(agent);
}

TEST(ExecutablePathTest, AChrootedProcessOfTheHostHasAPathForAnAgentInItsOwnMountNamespace) {
  ASSERT_EQ(geteuid(), 0U) << "this test changes its root folder and needs root";
  // With a process 1 of its own, whose mount namespace it knows.
  ChildProcess world([] {
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) {
      return 5;
    }
    ChildProcess init([] {
      const bool mounted = mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                           mount("proc", "/proc", "proc", 0, nullptr) == 0;
      return mounted ? FindPathOfChrootedDaemon() : 6;
    });
    return ExitCodeOf(init);
  });
  EXPECT_EQ(ExitCodeOf(world), 0);
}

TEST(ExecutablePathTest, APathInAContainerThatRootMadeCounts) {
  ASSERT_EQ(geteuid(), 0U) << "this test mounts and needs root";
  const ChildProcess child([] {
    if (DisguiseSleep(CLONE_NEWNS)) {
      execl(kDisguise, "sleep", "60", nullptr);
    }
    return 1;
  });
  ASSERT_TRUE(RunsDisguised(child));
  const auto process = Pin(child);
  ASSERT_THAT(process, IsOk());
  EXPECT_THAT(process->PathOfExecutable(), IsOkAndHolds(HostPath(kDisguise)));
}

TEST_F(PathInUserNamespaceTest, APathInAUserNamespaceThroughMountsOfTheHostCounts) {
  const Gate entered;
  const ChildProcess child([&] {
    if (unshare(CLONE_NEWUSER) != 0) {
      return 1;
    }
    entered.Open();
    return PauseForEver();
  });
  entered.Await();
  const auto process = Pin(child);
  ASSERT_THAT(process, IsOk());
  EXPECT_THAT(process->PathOfExecutable(),
              IsOkAndHolds(HostPath(std::filesystem::read_symlink("/proc/self/exe").string())));
}

}  // namespace
}  // namespace credence
