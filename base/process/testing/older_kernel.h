#pragma once

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <array>

#include <stddef.h>

namespace credence {

/// From now on this process sees a kernel before Linux 6.5, which knows neither SO_PEERPIDFD nor
/// PIDFD_GET_INFO. For a child process: it cannot be undone. False: this kernel has no seccomp
/// filters.
inline bool BecomeOlderKernel() {
  constexpr unsigned kSoPeerPidfd = 77;
  constexpr unsigned kPidfdGetInfo = 0xC040FF0B;
  constexpr auto kSecondArgument = offsetof(seccomp_data, args) + sizeof(seccomp_data::args[0]);
  constexpr auto kThirdArgument = kSecondArgument + sizeof(seccomp_data::args[0]);
  // The low halves of the arguments, as little-endian machines have them.
  std::array<sock_filter, 13> rules{
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 6, 0),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getsockopt, 0, 4),
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kSecondArgument),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOL_SOCKET, 0, 2),
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kThirdArgument),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kSoPeerPidfd, 4, 0),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kSecondArgument),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kPidfdGetInfo, 2, 0),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOPROTOOPT),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOTTY)};
  const sock_fprog program{.len = rules.size(), .filter = rules.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace credence
