#include "agent/cli/private_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <stdio.h>

#include "agent/cli/environment.h"
#include "base/core/clock.h"
#include "base/core/file.h"

namespace credence {
namespace {

constexpr mode_t kOwnerOnly = 0700;
constexpr std::string_view kNameStart = "credence-exec-";
/// What mkdtemp fills in.
constexpr std::string_view kNameEnd = "XXXXXX";
/// A younger folder may be about to be locked.
constexpr std::chrono::minutes kLeastLeftoverAge{1};
constexpr int kMostNamesLookedAt = 10'000;
constexpr std::size_t kMostLeftovers = 100;

bool IsOursAlone(const char* path) {
  struct stat info{};
  return lstat(path, &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == geteuid() &&
         (info.st_mode & 077) == 0;
}

std::vector<std::string> Candidates() {
  std::vector<std::string> candidates;
  if (std::string runtime = EnvironmentVariable("XDG_RUNTIME_DIR"); IsOursAlone(runtime.c_str())) {
    candidates.push_back(std::move(runtime));
  }
  candidates.emplace_back("/dev/shm");
  if (std::string temporary = EnvironmentVariable("TMPDIR"); temporary.starts_with('/')) {
    candidates.push_back(std::move(temporary));
  }
  candidates.emplace_back("/tmp");
  return candidates;
}

Error Failure(std::string_view what, std::string_view path, int error_number) {
  return Error(CodeFromErrno(error_number),
               fmt::format("{} {}: {}", what, path, ErrnoText(error_number)));
}

/// Opens the folder `name` of `parent`.
UniqueFd OpenFolder(int parent, const char* name) {
  return UniqueFd(openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

/// Whether nobody serves the open folder `fd` any more: it is of our making, and not locked, as it
/// was for as long as its maker lived.
bool IsLeftover(int fd) {
  struct stat info{};
  if (fstat(fd, &info) != 0 || info.st_uid != geteuid() || (info.st_mode & 07777) != kOwnerOnly) {
    return false;
  }
  const auto age = SystemClock().Now() - FromUnixSeconds(info.st_mtim.tv_sec);
  return age > kLeastLeftoverAge && flock(fd, LOCK_EX | LOCK_NB) == 0;
}

/// Paths of folders in `parent` that are named as ours are.
std::vector<std::string> FoldersLikeOurs(const std::string& parent) {
  std::vector<std::string> paths;
  std::error_code failed;
  std::filesystem::directory_iterator entry(parent, failed);
  for (int looked_at = 0; !failed && entry != std::filesystem::directory_iterator() &&
                          looked_at < kMostNamesLookedAt && paths.size() < kMostLeftovers;
       ++looked_at) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with(kNameStart) && name.size() == kNameStart.size() + kNameEnd.size()) {
      paths.push_back(entry->path().string());
    }
    entry.increment(failed);
  }
  return paths;
}

/// The folder `relative` of `root`, made where it is missing.
Result<UniqueFd> MakeFolders(int root, const std::filesystem::path& relative) {
  UniqueFd folder = OpenFolder(root, ".");
  for (const auto& part : relative) {
    if (mkdirat(folder.get(), part.c_str(), kOwnerOnly) != 0 && errno != EEXIST) {
      return Failure("create folder", relative.string(), errno);
    }
    folder = OpenFolder(folder.get(), part.c_str());
    if (!folder.valid()) {
      return Failure("open folder", relative.string(), errno);
    }
  }
  return folder;
}

Result<void> WriteNew(int folder, const std::string& name, std::string_view content, mode_t mode) {
  const UniqueFd fd(
      openat(folder, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  // The umask may have taken bits that `mode` asked for.
  if (!fd.valid() || fchmod(fd.get(), mode) != 0) {
    return Failure("create", name, errno);
  }
  return WriteAll(fd.get(), content);
}

/// Readers see the old content or the new. It need not outlive a crash of the machine.
Result<void> Replace(int folder, const std::string& name, std::string_view content, mode_t mode) {
  const std::string temporary = name + ".tmp";
  auto written = WriteNew(folder, temporary, content, mode);
  if (written.ok() && renameat(folder, temporary.c_str(), folder, name.c_str()) != 0) {
    written = Failure("replace", name, errno);
  }
  if (!written.ok()) {
    unlinkat(folder, temporary.c_str(), 0);
  }
  return written;
}

}  // namespace

Result<PrivateFolder> PrivateFolder::Create() {
  int error_number = 0;
  for (const std::string& parent : Candidates()) {
    RemoveLeftovers(parent);
    std::string path = fmt::format("{}/{}{}", parent, kNameStart, kNameEnd);
    if (mkdtemp(path.data()) != nullptr) {
      UniqueFd fd = OpenFolder(AT_FDCWD, path.c_str());
      // systemd-tmpfiles leaves a locked folder alone, however old it is.
      if (!fd.valid() || flock(fd.get(), LOCK_SH | LOCK_NB) != 0) {
        return Failure("open", path, errno);
      }
      return PrivateFolder(std::move(path), std::move(fd));
    }
    error_number = errno;
  }
  return Error(
      CodeFromErrno(error_number),
      fmt::format("create a private folder in /dev/shm or /tmp: {}", ErrnoText(error_number)));
}

void PrivateFolder::RemoveLeftovers(const std::string& parent) {
  for (std::string& path : FoldersLikeOurs(parent)) {
    UniqueFd fd = OpenFolder(AT_FDCWD, path.c_str());
    if (fd.valid() && IsLeftover(fd.get())) {
      const PrivateFolder removed_at_the_end(std::move(path), std::move(fd));
    }
  }
}

bool PrivateFolder::IsInPlace() const {
  struct stat held{};
  struct stat found{};
  return fstat(fd_.get(), &held) == 0 && lstat(path_.c_str(), &found) == 0 &&
         held.st_dev == found.st_dev && held.st_ino == found.st_ino;
}

PrivateFolder::~PrivateFolder() {
  if (fd_.valid() && IsInPlace()) {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
}

Result<void> PrivateFolder::Write(const std::string& relative,
                                  std::string_view content,
                                  mode_t mode) const {
  const std::filesystem::path inside = std::filesystem::path(relative).lexically_normal();
  if (relative.empty() || inside.is_absolute() || *inside.begin() == ".." || inside == "." ||
      inside.filename().empty()) {
    return Error(Code::kInvalidArgument,
                 fmt::format("\"{}\" is no path inside the private folder", relative));
  }
  if (!IsInPlace()) {
    return Error(
        Code::kFailedPrecondition,
        fmt::format("something has removed or replaced {}: start the command again", path_));
  }
  const auto folder = MakeFolders(fd_.get(), inside.parent_path());
  if (!folder.ok()) {
    return folder.error();
  }
  return Replace(folder->get(), inside.filename().string(), content, mode);
}

}  // namespace credence
