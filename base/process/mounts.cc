#include "base/process/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstddef>

#include "base/core/unique_fd.h"

namespace credence {
namespace {

/// A table that is longer is read no further.
constexpr std::size_t kMaxTable = std::size_t{4} << 20;

/// Whether a line of the mount table starts with `id`. The kernel escapes newlines in names.
bool Lists(int table, std::uint64_t id) {
  std::array<char, 8192> block{};
  bool in_id = true;
  std::uint64_t number = 0;
  for (std::size_t total = 0; total < kMaxTable;) {
    const ssize_t count = read(table, block.data(), block.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      return false;
    }
    for (ssize_t i = 0; i < count; ++i) {
      const char c = block[static_cast<std::size_t>(i)];
      if (c == '\n') {
        in_id = true;
        number = 0;
      } else if (in_id && c >= '0' && c <= '9') {
        number = number * 10 + static_cast<std::uint64_t>(c - '0');
      } else if (in_id) {
        if (number == id) {
          return true;
        }
        in_id = false;
      }
    }
    total += static_cast<std::size_t>(count);
  }
  return false;
}

bool Lists(const UniqueFd& table, std::uint64_t id) {
  return table.valid() && Lists(table.get(), id);
}

/// Whether the mount namespace of the process belongs to the user namespace that we are in.
bool MountNamespaceIsOurs(int process_folder) {
  const UniqueFd mounts(openat(process_folder, "ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!mounts.valid()) {
    return false;
  }
  const UniqueFd owner(ioctl(mounts.get(), NS_GET_USERNS));
  struct stat theirs{};
  struct stat ours{};
  return owner.valid() && fstat(owner.get(), &theirs) == 0 &&
         stat("/proc/self/ns/user", &ours) == 0 && theirs.st_dev == ours.st_dev &&
         theirs.st_ino == ours.st_ino;
}

}  // namespace

bool IsMountOfTheHost(int process_folder, std::uint64_t mount_id) {
  // Ids are of the whole system, and the caller holds the mount, so that its id is not given away.
  if (Lists(UniqueFd(open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)), mount_id)) {
    return true;
  }
  // Opening the table pins the namespace. Asked in this order: a process can leave our namespaces
  // for its own in between, but not come back.
  const UniqueFd table(openat(process_folder, "mountinfo", O_RDONLY | O_CLOEXEC));
  return MountNamespaceIsOurs(process_folder) && Lists(table, mount_id);
}

}  // namespace credence
