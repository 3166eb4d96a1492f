#include "base/process/caller.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>

#include <fmt/format.h>

#include "base/core/file.h"

// Debian 12's headers are older than the kernels it runs on.
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

namespace credence {
namespace {

/// Errors: kUnimplemented on a kernel without the option.
Result<UniqueFd> PeerPidfd(int socket) {
  int fd = -1;
  socklen_t size = sizeof fd;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &size) == 0) {
    return UniqueFd(fd);
  }
  if (errno == ENOPROTOOPT) {
    return Error(Code::kUnimplemented, "this kernel has no SO_PEERPIDFD");
  }
  // EINVAL is how the first kernels with the option say that the peer has been reaped. Opening its
  // number instead would pin whoever has got it since.
  const bool gone = errno == ESRCH || errno == EINVAL || errno == ENODATA;
  const Code code = gone ? Code::kUnauthenticated : CodeFromErrno(errno);
  return Error(code, fmt::format("get the caller's pidfd: {}", ErrnoText(errno)));
}

Result<UniqueFd> OpenPidfd(pid_t pid) {
  const auto fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) {
    const Code code = errno == ESRCH ? Code::kUnauthenticated : CodeFromErrno(errno);
    return Error(code, fmt::format("open pid {}: {}", pid, ErrnoText(errno)));
  }
  return UniqueFd(fd);
}

}  // namespace

std::string_view AssuranceName(Assurance assurance) {
  switch (assurance) {
    case Assurance::kOpenedByPid:
      return "opened_by_pid";
    case Assurance::kPinned:
      return "pinned";
  }
  return "opened_by_pid";
}

Result<Assurance> ParseAssurance(std::string_view text) {
  if (text == "pinned") {
    return Assurance::kPinned;
  }
  if (text == "opened_by_pid") {
    return Assurance::kOpenedByPid;
  }
  return Error(Code::kInvalidArgument,
               fmt::format("\"{}\" is not an assurance: expected pinned or opened_by_pid", text));
}

Result<Caller> IdentifyCaller(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return Error(CodeFromErrno(errno),
                 fmt::format("get the caller's credentials: {}", ErrnoText(errno)));
  }
  if (credentials.pid <= 0) {
    return Error(Code::kUnauthenticated,
                 "the caller runs in a pid namespace this agent cannot see into");
  }
  Assurance assurance = Assurance::kPinned;
  auto pidfd = PeerPidfd(socket);
  if (!pidfd.ok() && pidfd.error().code() == Code::kUnimplemented) {
    assurance = Assurance::kOpenedByPid;
    pidfd = OpenPidfd(credentials.pid);
  }
  if (!pidfd.ok()) {
    return std::move(pidfd).error();
  }
  return WithProcFolder(
      Caller{*std::move(pidfd), credentials.pid, credentials.uid, credentials.gid, assurance});
}

Result<Caller> WithProcFolder(Caller caller) {
  caller.folder =
      UniqueFd(open(fmt::format("/proc/{}", caller.pid).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!caller.folder.valid()) {
    if (errno == ENOENT || errno == ESRCH) {
      return caller;
    }
    return Error(CodeFromErrno(errno),
                 fmt::format("open the /proc folder of pid {}: {}", caller.pid, ErrnoText(errno)));
  }
  struct statx info{};
  // Without asking a remote or user-space file system, which could hang.
  if (statx(caller.folder.get(), "exe", AT_STATX_DONT_SYNC, STATX_INO, &info) == 0) {
    caller.executable = FileId{makedev(info.stx_dev_major, info.stx_dev_minor), info.stx_ino};
  }
  return caller;
}

Assurance OfferedAssurance() {
  std::array<int, 2> ends{-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return Assurance::kOpenedByPid;
  }
  const UniqueFd near(ends[0]);
  const UniqueFd far(ends[1]);
  const auto self = IdentifyCaller(near.get());
  return self.ok() ? self->assurance : Assurance::kOpenedByPid;
}

bool IsAlive(int pidfd) {
  // poll() passes over a negative descriptor, which would look like a process that runs.
  if (pidfd < 0) {
    return false;
  }
  pollfd poll_entry{pidfd, POLLIN, 0};
  return poll(&poll_entry, 1, 0) == 0;
}

}  // namespace credence
