#pragma once

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/core/check.h"
#include "base/core/unique_fd.h"
#include "base/process/caller.h"

namespace credence {

/// For a child: makes /bin/sleep stand at the place of /usr/bin/true, as any user can for itself.
inline bool DisguiseSleepAsTrue() {
  return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 &&
         mount("/bin/sleep", "/usr/bin/true", nullptr, MS_BIND, nullptr) == 0;
}

/// The user that a child becomes. Needs root unless it is the own one.
struct ChildUser {
  uid_t uid = geteuid();
  gid_t gid = getegid();
  std::vector<gid_t> groups;
};

/// A process running `program`, which sleeps when given the argument 60; killed at the end.
class ChildProcess {
 public:
  /// `prepare` runs in the child first, and says whether that went well.
  explicit ChildProcess(const std::string& program,
                        const ChildUser& user = {},
                        bool (*prepare)() = nullptr)
      : user_(user) {
    std::array<int, 2> ends{};
    CREDENCE_CHECK(pipe2(ends.data(), O_CLOEXEC) == 0);
    const UniqueFd read_end(ends[0]);
    UniqueFd write_end(ends[1]);
    pid_ = fork();
    CREDENCE_CHECK(pid_ >= 0);
    if (pid_ == 0) {
      const bool changed =
          user.uid == geteuid() || (setgroups(user.groups.size(), user.groups.data()) == 0 &&
                                    setresgid(user.gid, user.gid, user.gid) == 0 &&
                                    setresuid(user.uid, user.uid, user.uid) == 0);
      if (changed && (prepare == nullptr || prepare())) {
        execl(program.c_str(), program.c_str(), "60", nullptr);
      }
      _exit(1);
    }
    // The other end closes when the child has become the program.
    write_end = UniqueFd();
    char byte = 0;
    CREDENCE_CHECK(read(read_end.get(), &byte, 1) == 0);
  }
  ~ChildProcess() { Kill(); }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }

  /// As the kernel would name it had it connected.
  std::shared_ptr<const Caller> AsCaller() const {
    UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
    CREDENCE_CHECK(pidfd.valid());
    return std::make_shared<const Caller>(
        WithProcFolder(Caller{std::move(pidfd), pid_, user_.uid, user_.gid, Assurance::kPinned})
            .value());
  }

  void Kill() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
      pid_ = 0;
    }
  }

 private:
  ChildUser user_;
  pid_t pid_ = 0;
};

}  // namespace credence
