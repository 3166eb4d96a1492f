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
#include "base/process/testing/older_kernel.h"
#include "base/process/testing/pinned.h"

namespace credence {
namespace {

using testing::HasSubstr;

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
  exec.Open();
  const std::string link = fmt::format("/proc/{}/exe", child.pid());
  ASSERT_TRUE(Eventually([&] { return LinkAt(link).filename() == "sleep"; }));
  const auto process = PinnedProcess::Open(shared);
  ASSERT_THAT(process, IsOk());
  EXPECT_THAT(process->ConfirmUnchanged(),
              FailsWith(Code::kUnauthenticated, HasSubstr("replaced its executable")));
}

TEST(PinnedProcessTest, AnExecutableThatNobodySawIsNoProof) {
  const ChildProcess child(PauseForEver);
  UniqueFd pidfd(dup(CallerOf(child.pid())->pidfd.get()));
  Caller caller = WithProcFolder(Caller{std::move(pidfd), child.pid(), getuid(), getgid()}).value();
  caller.executable.reset();
  const auto process = PinnedProcess::Open(std::make_shared<const Caller>(std::move(caller)));
  ASSERT_THAT(process, IsOk());
  EXPECT_THAT(process->ConfirmUnchanged(), FailsWithCode(Code::kUnauthenticated));
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

TEST(PinnedProcessTest, AChangeOfUserIsNoticedOnAnOlderKernelToo) {
  ASSERT_EQ(geteuid(), 0U) << "this test changes users and needs root";
  const Gate change;
  const Gate changed;
  const ChildProcess child([&] {
    change.Await();
    const int result = setresuid(4343, 4343, 4343);
    changed.Open();
    return result == 0 ? PauseForEver() : 1;
  });
  ChildProcess agent([&] {
    if (!BecomeOlderKernel()) {
      return 1;
    }
    const auto process = Pin(child);
    if (!process.ok() || !process->ConfirmUnchanged().ok()) {
      return 2;
    }
    change.Open();
    changed.Await();
    const auto confirmed = process->ConfirmUnchanged();
    return !confirmed.ok() && confirmed.error().code() == Code::kUnauthenticated ? 0 : 3;
  });
  EXPECT_EQ(agent.Reap(), 0);
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
