#include "base/process/pidfd_info.h"

#include <errno.h>
#include <sys/ioctl.h>

#include <cstdint>

#include <fmt/format.h>

#include "base/core/file.h"

namespace credence {
namespace {

// Debian 12's headers are older than the kernels it runs on. The names are those of linux/pidfd.h.
struct PidfdInfo {
  std::uint64_t mask;
  std::uint64_t cgroupid;
  std::uint32_t pid;
  std::uint32_t tgid;
  std::uint32_t ppid;
  std::uint32_t ruid;
  std::uint32_t rgid;
  std::uint32_t euid;
  std::uint32_t egid;
  std::uint32_t suid;
  std::uint32_t sgid;
  std::uint32_t fsuid;
  std::uint32_t fsgid;
  std::int32_t exit_code;
};
static_assert(sizeof(PidfdInfo) == 64, "the size is part of the request's number");

constexpr std::uint64_t kCredentials = 1U << 1U;

}  // namespace

Result<std::optional<EffectiveIds>> EffectiveIdsOf(int pidfd) {
  PidfdInfo info{};
  info.mask = kCredentials;
  if (ioctl(pidfd, _IOWR(0xFF, 11, PidfdInfo), &info) != 0) {
    if (errno == ENOTTY || errno == EINVAL) {
      return std::optional<EffectiveIds>();
    }
    return Error(errno == ESRCH ? Code::kUnauthenticated : CodeFromErrno(errno),
                 fmt::format("ask the kernel for the ids: {}", ErrnoText(errno)));
  }
  if ((info.mask & kCredentials) == 0) {
    return Error(Code::kUnauthenticated, "the process has ended");
  }
  return std::optional(EffectiveIds{info.euid, info.egid});
}

}  // namespace credence
