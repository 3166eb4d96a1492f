#pragma once

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <concepts>
#include <cstring>
#include <memory>
#include <string>

#include "base/core/check.h"
#include "base/core/unique_fd.h"
#include "base/process/caller.h"

/// Real processes and sockets for tests. A failed system call ends the test program.
namespace credence {

/// A child made by fork() that runs `body` and exits with what it returns; killed and reaped at the
/// end. It sees a copy of the test's memory and must not use GoogleTest. When the test program
/// dies, it does too.
class ChildProcess {
 public:
  template <std::invocable Body>
  explicit ChildProcess(Body body) : pid_(fork()) {
    CREDENCE_CHECK(pid_ >= 0);
    if (pid_ == 0) {
      // A test that hangs must not leave this behind for ever.
      alarm(60);
      _exit(body());
    }
  }
  ~ChildProcess() {
    if (pid_ > 0 && !reaped_) {
      Kill();
      Reap();
    }
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  void Kill() const { CREDENCE_CHECK(kill(pid_, SIGKILL) == 0); }
  /// Waits until the child has ended and leaves it a zombie.
  void AwaitZombie() const {
    siginfo_t info{};
    CREDENCE_CHECK(waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) == 0);
  }
  /// Waits for the end and returns how it came, as waitpid(2) says it; afterwards the number is
  /// free.
  int Reap() {
    int status = 0;
    CREDENCE_CHECK(waitpid(pid_, &status, 0) == pid_);
    reaped_ = true;
    return status;
  }

 private:
  pid_t pid_;
  bool reaped_ = false;
};

/// A one-way signal between a parent and a child; make it before the fork.
class Gate {
 public:
  Gate() {
    int ends[2] = {-1, -1};
    CREDENCE_CHECK(pipe(ends) == 0);
    read_ = UniqueFd(ends[0]);
    write_ = UniqueFd(ends[1]);
  }
  void Open() const { CREDENCE_CHECK(write(write_.get(), "x", 1) == 1); }
  void Await() const {
    char byte = 0;
    CREDENCE_CHECK(read(read_.get(), &byte, 1) == 1);
  }

 private:
  UniqueFd read_;
  UniqueFd write_;
};

/// A listening Unix stream socket in a folder of its own.
class UnixListener {
 public:
  UnixListener() : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    std::string pattern = "/tmp/credence_listener.XXXXXX";
    CREDENCE_CHECK(mkdtemp(pattern.data()) != nullptr && chmod(pattern.c_str(), 0755) == 0);
    folder_ = pattern;
    path_ = folder_ + "/s";
    const sockaddr_un address = Address();
    CREDENCE_CHECK(bind(fd_.get(), AsSockaddr(&address), sizeof address) == 0 &&
                   chmod(path_.c_str(), 0777) == 0 && listen(fd_.get(), 8) == 0);
  }
  ~UnixListener() {
    unlink(path_.c_str());
    rmdir(folder_.c_str());
  }
  UnixListener(const UnixListener&) = delete;
  UnixListener& operator=(const UnixListener&) = delete;

  const std::string& path() const { return path_; }

  UniqueFd Accept() const {
    UniqueFd connection(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    CREDENCE_CHECK(connection.valid());
    return connection;
  }

  /// For a child: connects; the connection lives as long as the child.
  bool Connect() const {
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    const sockaddr_un address = Address();
    return fd >= 0 && connect(fd, AsSockaddr(&address), sizeof address) == 0;
  }
  /// For a child: connects and waits to be killed.
  int ConnectAndWait() const {
    while (Connect()) {
      pause();
    }
    return 1;
  }

 private:
  static const sockaddr* AsSockaddr(const sockaddr_un* address) {
    return static_cast<const sockaddr*>(static_cast<const void*>(address));
  }
  sockaddr_un Address() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    CREDENCE_CHECK(path_.size() < sizeof address.sun_path);
    std::memcpy(address.sun_path, path_.data(), path_.size());
    return address;
  }

  UniqueFd fd_;
  std::string folder_;
  std::string path_;
};

/// Whether this kernel has SO_PEERPIDFD, asked with a socket pair of our own.
inline bool KernelHasPeerPidfd() {
  constexpr int kSoPeerPidfd = 77;
  int ends[2] = {-1, -1};
  CREDENCE_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  const UniqueFd first(ends[0]);
  const UniqueFd second(ends[1]);
  int pidfd = -1;
  socklen_t size = sizeof pidfd;
  const bool has = getsockopt(first.get(), SOL_SOCKET, kSoPeerPidfd, &pidfd, &size) == 0;
  const UniqueFd closed(pidfd);
  return has;
}

/// A caller as if `pid` had just connected as `uid` and `gid`.
inline std::shared_ptr<const Caller> CallerOf(pid_t pid,
                                              uid_t uid = getuid(),
                                              gid_t gid = getgid()) {
  const auto pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  CREDENCE_CHECK(pidfd >= 0);
  return std::make_shared<const Caller>(
      WithProcFolder(Caller{UniqueFd(pidfd), pid, uid, gid, Assurance::kPinned}).value());
}

}  // namespace credence
