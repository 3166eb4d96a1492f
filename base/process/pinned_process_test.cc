#include "base/process/pinned_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "base/process/testing/child_process.h"

namespace credence {
namespace {

using testing::AllOf;
using testing::Field;
using testing::HasSubstr;

int PauseForEver() {
  while (true) {
    pause();
  }
}

Result<PinnedProcess> Pin(const ChildProcess& child) {
  return PinnedProcess::Open(CallerOf(child.pid()));
}

/// Field 22 read the simple way; our own command has no parenthesis or space in its name.
std::uint64_t OwnStartTime() {
  std::ifstream stat("/proc/self/stat");
  std::string field;
  std::uint64_t ticks = 0;
  for (int i = 1; i < 22; ++i) {
    stat >> field;
  }
  stat >> ticks;
  return ticks;
}

auto HostPath(const std::string& text) {
  return AllOf(Field(&ExecutablePath::text, text), Field(&ExecutablePath::callers_view, false));
}

auto CallersPath(const std::string& text) {
  return AllOf(Field(&ExecutablePath::text, text), Field(&ExecutablePath::callers_view, true));
}

/// Waits until `ready` says so, at most ten seconds.
template <class Ready>
bool Eventually(Ready ready) {
  for (int i = 0; i < 1000; ++i) {
    if (ready()) {
      return true;
    }
    poll(nullptr, 0, 10);
  }
  return false;
}

/// Where a link in /proc leads; nowhere while there is none, as in the middle of an exec.
std::filesystem::path LinkAt(const std::string& link) {
  std::error_code none;
  return std::filesystem::read_symlink(link, none);
}

TEST(PinnedProcessTest, ReadsFactsOfTheCaller) {
  const ChildProcess child(PauseForEver);
  const auto process = Pin(child);
  ASSERT_THAT(process, IsOk());
  EXPECT_THAT(process->Read("status"),
              IsOkAndHolds(HasSubstr(fmt::format("\nPid:\t{}\n", child.pid()))));
  EXPECT_THAT(process->PathOfExecutable(),
              IsOkAndHolds(HostPath(std::filesystem::read_symlink("/proc/self/exe").string())));
  EXPECT_THAT(process->Read("no_such_file"), FailsWithCode(Code::kUnauthenticated));
  EXPECT_THAT(process->ConfirmUnchanged(), IsOk());
  EXPECT_EQ(process->caller().pid, child.pid());
}

TEST(PinnedProcessTest, StartTimeIsField22) {
  const auto process = PinnedProcess::Open(CallerOf(getpid()));
  ASSERT_THAT(process, IsOk());
  EXPECT_THAT(process->StartTime(), IsOkAndHolds(OwnStartTime()));
}

TEST(PinnedProcessTest, AHostileNameDoesNotShiftTheFields) {
  const Gate renamed;
  const Gate rename;
  const ChildProcess child([&] {
    rename.Await();
    prctl(PR_SET_NAME, "a) R 1 2 (3 4 5");
    renamed.Open();
    return PauseForEver();
  });
  const auto process = Pin(child);
  ASSERT_THAT(process, IsOk());
  const auto before = process->StartTime();
  ASSERT_THAT(before, IsOk());
  rename.Open();
  renamed.Await();
  EXPECT_THAT(process->Read("stat"), IsOkAndHolds(HasSubstr("(a) R 1 2 (3 4 5)")));
  EXPECT_THAT(process->StartTime(), IsOkAndHolds(*before));
}

TEST(PinnedProcessTest, AZombieIsNotOpened) {
  const ChildProcess child([] { return 0; });
  child.AwaitZombie();
  EXPECT_THAT(Pin(child), FailsWith(Code::kUnauthenticated, HasSubstr("ended")));
}

TEST(PinnedProcessTest, AReapedProcessIsNotOpened) {
  ChildProcess child(PauseForEver);
  const auto caller = CallerOf(child.pid());
  child.Kill();
  child.Reap();
  EXPECT_THAT(PinnedProcess::Open(caller), FailsWithCode(Code::kUnauthenticated));
}

TEST(PinnedProcessTest, TheEndOfTheProcessIsNoticed) {
  ChildProcess child(PauseForEver);
  const auto process = Pin(child);
  ASSERT_THAT(process, IsOk());
  child.Kill();
  child.AwaitZombie();
  EXPECT_THAT(process->ConfirmUnchanged(), FailsWithCode(Code::kUnauthenticated));
  child.Reap();
  EXPECT_THAT(process->Read("status"), FailsWithCode(Code::kUnauthenticated));
  EXPECT_THAT(process->StartTime(), FailsWithCode(Code::kUnauthenticated));
  EXPECT_THAT(process->OpenExecutable(), FailsWithCode(Code::kUnauthenticated));
  EXPECT_THAT(process->ConfirmUnchanged(), FailsWithCode(Code::kUnauthenticated));
}

TEST(PinnedProcessTest, AnExecInBetweenIsNoticed) {
  const Gate exec;
  const ChildProcess child([&] {
    exec.Await();
    execl("/bin/sleep", "sleep", "60", nullptr);
    return 1;
  });
  const auto process = Pin(child);
  ASSERT_THAT(process, IsOk());
  ASSERT_THAT(process->ConfirmUnchanged(), IsOk());
  exec.Open();
  const std::string link = fmt::format("/proc/{}/exe", child.pid());
  ASSERT_TRUE(Eventually([&] { return LinkAt(link).filename() == "sleep"; }));
  EXPECT_THAT(process->StatExecutable(), FailsWithCode(Code::kUnauthenticated));
  EXPECT_THAT(process->PathOfExecutable(), FailsWithCode(Code::kUnauthenticated));
  EXPECT_THAT(process->ConfirmUnchanged(),
              FailsWith(Code::kUnauthenticated, HasSubstr("replaced its executable")));
}

TEST(PinnedProcessTest, AnExecAfterConnectingIsNoticed) {
  const UnixListener listener;
  const Gate exec;
  const ChildProcess child([&] {
    if (!listener.Connect()) {
      return 1;
    }
    exec.Await();
    execl("/bin/sleep", "sleep", "60", nullptr);
    return 1;
  });
  const UniqueFd connection = listener.Accept();
  auto caller = IdentifyCaller(connection.get());
  ASSERT_THAT(caller, IsOk());
  const auto shared = std::make_shared<const Caller>(*std::move(caller));
  ASSERT_THAT(PinnedProcess::Open(shared), IsOk());
  exec.Open();
  const std::string link = fmt::format("/proc/{}/exe", child.pid());
  ASSERT_TRUE(Eventually([&] { return LinkAt(link).filename() == "sleep"; }));
  EXPECT_THAT(PinnedProcess::Open(shared),
              FailsWith(Code::kUnauthenticated, HasSubstr("replaced its executable")));
}

TEST(PinnedProcessTest, AnExecutableThatNobodySawIsNoProof) {
  const ChildProcess child(PauseForEver);
  UniqueFd pidfd(dup(CallerOf(child.pid())->pidfd.get()));
  Caller caller = WithProcFolder(Caller{std::move(pidfd), child.pid(), getuid(), getgid()}).value();
  caller.executable.reset();
  EXPECT_THAT(PinnedProcess::Open(std::make_shared<const Caller>(std::move(caller))),
              FailsWithCode(Code::kUnauthenticated));
}

TEST(PinnedProcessTest, HoldsNoDescriptors) {
  const auto open_descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  const ChildProcess child(PauseForEver);
  const auto caller = CallerOf(child.pid());
  const auto before = open_descriptors();
  std::vector<PinnedProcess> processes;
  for (int i = 0; i < 100; ++i) {
    auto process = PinnedProcess::Open(caller);
    ASSERT_THAT(process, IsOk());
    processes.push_back(*std::move(process));
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(PinnedProcessTest, AChangeOfUserInBetweenIsNoticed) {
  ASSERT_EQ(geteuid(), 0U) << "this test changes users and needs root";
  const Gate change;
  const Gate changed;
  const ChildProcess child([&] {
    change.Await();
    const int result = setresuid(4343, 4343, 4343);
    changed.Open();
    return result == 0 ? PauseForEver() : 1;
  });
  const auto process = Pin(child);
  ASSERT_THAT(process, IsOk());
  change.Open();
  changed.Await();
  EXPECT_THAT(process->ConfirmUnchanged(), FailsWith(Code::kUnauthenticated, HasSubstr("4343")));
}

TEST(PinnedProcessTest, AChangeOfGroupInBetweenIsNoticed) {
  ASSERT_EQ(geteuid(), 0U) << "this test changes groups and needs root";
  const Gate change;
  const Gate changed;
  const ChildProcess child([&] {
    change.Await();
    const int result = setegid(4242);
    changed.Open();
    return result == 0 ? PauseForEver() : 1;
  });
  const auto process = Pin(child);
  ASSERT_THAT(process, IsOk());
  EXPECT_THAT(process->ReadStatus(), IsOk());
  change.Open();
  changed.Await();
  EXPECT_THAT(process->ConfirmUnchanged(),
              FailsWith(Code::kUnauthenticated, HasSubstr("gid 4242")));
  EXPECT_THAT(process->ReadStatus(), FailsWith(Code::kUnauthenticated, HasSubstr("gid 4242")));
}

TEST(PinnedProcessTest, AUserOrGroupOtherThanTheSocketsIsRefusedAtOnce) {
  const ChildProcess child(PauseForEver);
  EXPECT_THAT(PinnedProcess::Open(CallerOf(child.pid(), 4343)),
              FailsWith(Code::kUnauthenticated, HasSubstr("connected as uid 4343")));
  EXPECT_THAT(PinnedProcess::Open(CallerOf(child.pid(), getuid(), 4242)),
              FailsWith(Code::kUnauthenticated, HasSubstr("connected as gid 4242")));
}

TEST(PinnedProcessTest, ASetGroupIdProgramIsNotWhoConnected) {
  ASSERT_EQ(geteuid(), 0U) << "this test makes a set-group-ID program and needs root";
  // Not in /tmp, which may be mounted nosuid.
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string() + ".setgid";
  std::filesystem::copy_file(
      "/bin/sleep", program, std::filesystem::copy_options::overwrite_existing);
  ASSERT_EQ(chown(program.c_str(), 0, 4242), 0);
  ASSERT_EQ(chmod(program.c_str(), 02755), 0);
  const UnixListener listener;
  const Gate exec;
  const ChildProcess child([&] {
    if (!listener.Connect()) {
      return 1;
    }
    exec.Await();
    execl(program.c_str(), "sleep", "60", nullptr);
    return 1;
  });
  const UniqueFd connection = listener.Accept();
  auto caller = IdentifyCaller(connection.get());
  ASSERT_THAT(caller, IsOk());
  const auto shared = std::make_shared<const Caller>(*std::move(caller));
  ASSERT_THAT(PinnedProcess::Open(shared), IsOk());
  exec.Open();
  const std::string link = fmt::format("/proc/{}/exe", child.pid());
  ASSERT_TRUE(Eventually([&] { return LinkAt(link) == program; }));
  std::filesystem::remove(program);
  EXPECT_THAT(PinnedProcess::Open(shared),
              FailsWith(Code::kUnauthenticated, HasSubstr("now runs as gid 4242")));
}

TEST(PinnedProcessTest, ADeletedExecutableIsStillTheOneThatRuns) {
  const std::string copy = fmt::format("/tmp/credence_sleep.{}", getpid());
  std::filesystem::copy_file("/bin/sleep", copy, std::filesystem::copy_options::overwrite_existing);
  const ChildProcess child([&] {
    execl(copy.c_str(), "sleep", "60", nullptr);
    return 1;
  });
  const std::string link = fmt::format("/proc/{}/exe", child.pid());
  ASSERT_TRUE(Eventually([&] { return LinkAt(link) == copy; }));
  std::filesystem::remove(copy);
  const auto process = Pin(child);
  ASSERT_THAT(process, IsOk());
  EXPECT_THAT(process->PathOfExecutable(), IsOkAndHolds(HostPath(copy + " (deleted)")));
  const auto executable = process->OpenExecutable();
  ASSERT_THAT(executable, IsOk());
  std::array<char, 4> magic{};
  EXPECT_EQ(read(executable->get(), magic.data(), magic.size()), 4);
  EXPECT_EQ(std::string_view(magic.data() + 1, 3), "ELF");
  EXPECT_THAT(process->ConfirmUnchanged(), IsOk());
}

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

/// A user without rights; the namespaces that root makes are trusted.
constexpr uid_t kUser = 4343;
constexpr gid_t kGroup = 4242;

bool BecomeUser(uid_t uid = kUser, gid_t gid = kGroup) {
  return setresgid(gid, gid, gid) == 0 && setresuid(uid, uid, uid) == 0;
}

TEST(PinnedProcessTest, APathThroughMountsOfAUsersNamespaceIsTheCallersView) {
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

TEST(PinnedProcessTest, APathThroughSomeoneElsesMountsIsTheCallersViewToo) {
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

TEST(PinnedProcessTest, APathInAContainerThatRootMadeWithOtherUsersCounts) {
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

TEST(PinnedProcessTest, APathInANamespaceMadeInsideOfAContainerIsTheCallersView) {
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

TEST(PinnedProcessTest, APathThatCountedDoesNotVouchForAnotherMountOfTheSameFile) {
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

TEST(PinnedProcessTest, AChrootedProcessOfTheHostHasAPathForAnAgentInItsOwnMountNamespace) {
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

TEST(PinnedProcessTest, APathInAContainerThatRootMadeCounts) {
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

TEST(PinnedProcessTest, APathInAUserNamespaceThroughMountsOfTheHostCounts) {
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

TEST(PinnedProcessTest, ReadingIsBounded) {
  const ChildProcess child([] {
    std::string big = "BIG=" + std::string(100'000, 'x');
    std::array<char*, 2> environment = {big.data(), nullptr};
    execle("/bin/sleep", "sleep", "60", nullptr, environment.data());
    return 1;
  });
  // The kernel shows the new executable before the new environment.
  const std::string environment = fmt::format("/proc/{}/environ", child.pid());
  ASSERT_TRUE(Eventually([&] {
    std::ifstream file(environment);
    return std::string(std::istreambuf_iterator<char>(file), {}).size() > 100'000;
  }));
  const auto process = Pin(child);
  ASSERT_THAT(process, IsOk());
  EXPECT_THAT(process->Read("environ"), FailsWithCode(Code::kOutOfRange));
  EXPECT_THAT(process->Read("cmdline"),
              IsOkAndHolds(std::string("sleep\0"
                                       "60\0",
                                       9)));
}

}  // namespace
}  // namespace credence
