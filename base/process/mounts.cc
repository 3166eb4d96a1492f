#include "base/process/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

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

UniqueFd OpenAt(int folder, const char* name) {
  return UniqueFd(openat(folder, name, O_RDONLY | O_CLOEXEC));
}

/// Whether the namespace behind `fd` is the one that `link` in /proc leads to.
bool IsNamespace(const UniqueFd& fd, const char* link) {
  struct stat here{};
  struct stat there{};
  return fd.valid() && fstat(fd.get(), &here) == 0 && stat(link, &there) == 0 &&
         here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

bool IsOurUserNamespace(const UniqueFd& fd) {
  return IsNamespace(fd, "/proc/self/ns/user");
}

/// Whether the mount namespace belongs to the user namespace that we are in, or to one that root
/// made in there, as for a container that remaps users. Anybody else who makes a user namespace is
/// its owner, and what root of a container makes has the container's for a parent.
bool IsArrangedByRoot(const UniqueFd& mount_namespace) {
  if (!mount_namespace.valid()) {
    return false;
  }
  const UniqueFd owner(ioctl(mount_namespace.get(), NS_GET_USERNS));
  if (!owner.valid() || IsOurUserNamespace(owner)) {
    return owner.valid();
  }
  const UniqueFd parent(ioctl(owner.get(), NS_GET_PARENT));
  constexpr uid_t kNobody = 65534;
  uid_t maker = kNobody;
  return IsOurUserNamespace(parent) && ioctl(owner.get(), NS_GET_OWNER_UID, &maker) == 0 &&
         maker == 0;
}

}  // namespace

std::optional<bool> IsMountOfTheHost(int process_folder, std::uint64_t mount_id) {
  // Ids are of the whole system, and the caller holds the mount, so that its id is not given away.
  // Opening a table pins its namespace. Asked in this order: a process can leave root's namespaces
  // for its own in between, but only root comes back.
  const UniqueFd their_table = OpenAt(process_folder, "mountinfo");
  const UniqueFd init_table = OpenAt(AT_FDCWD, "/proc/1/mountinfo");
  const UniqueFd mount_namespace = OpenAt(process_folder, "ns/mnt");
  if (!IsNamespace(mount_namespace, "/proc/self/ns/mnt") && IsArrangedByRoot(mount_namespace)) {
    // A table shows what the root folder of its process reaches, which is less after chroot(2).
    const bool of_init = init_table.valid() && IsNamespace(mount_namespace, "/proc/1/ns/mnt");
    if (Lists(of_init ? init_table : their_table, mount_id)) {
      return true;
    }
  }
  const UniqueFd our_table = OpenAt(AT_FDCWD, "/proc/self/mountinfo");
  if (Lists(our_table, mount_id)) {
    return true;
  }
  const bool seen = their_table.valid() && mount_namespace.valid() && our_table.valid();
  return seen ? std::optional<bool>(false) : std::nullopt;
}

std::optional<std::uint64_t> MountIdByFdinfo(int fd) {
  const std::string name = fmt::format("/proc/self/fdinfo/{}", fd);
  const UniqueFd file = OpenAt(AT_FDCWD, name.c_str());
  std::array<char, 1024> text{};
  const ssize_t size = file.valid() ? read(file.get(), text.data(), text.size()) : -1;
  if (size < 0) {
    return std::nullopt;
  }
  std::string_view digits(text.data(), static_cast<std::size_t>(size));
  constexpr std::string_view kKey = "\nmnt_id:\t";
  const std::size_t key = digits.find(kKey);
  if (key == std::string_view::npos) {
    return std::nullopt;
  }
  digits.remove_prefix(key + kKey.size());
  std::uint64_t id = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), id).ec != std::errc{}) {
    return std::nullopt;
  }
  return id;
}

}  // namespace credence
