#include "agent/authority/state/data_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <filesystem>
#include <optional>
#include <system_error>

#include <fmt/format.h>

#include "base/core/file.h"
#include "base/core/safe_path.h"

namespace credence {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kLockName = "authority.lock";
constexpr mode_t kFolderMode = 0700;
constexpr mode_t kFileMode = 0600;
/// The number of the process with its line end. Always as long, so that writing it never touches
/// the mark behind it.
constexpr std::size_t kPidLineBytes = 11;
constexpr std::string_view kMark = "authority.db has been made\n";

Error Failure(std::string_view what, const std::string& path, int error_number) {
  return Error(CodeFromErrno(error_number),
               fmt::format("{} {}: {}", what, path, ErrnoText(error_number)));
}

Result<void> WriteAt(int fd, std::string_view text, off_t offset, const std::string& path) {
  if (lseek(fd, offset, SEEK_SET) < 0) {
    return Failure("seek in", path, errno);
  }
  auto written = WriteAll(fd, text);
  return written.ok() ? Ok() : Result<void>(std::move(written).error().Wrap(path));
}

/// Who has locked, if the file says so.
std::optional<pid_t> ReadPid(int fd) {
  std::array<char, kPidLineBytes> line{};
  const ssize_t count = pread(fd, line.data(), line.size(), 0);
  if (count != static_cast<ssize_t>(line.size())) {
    return std::nullopt;
  }
  const char* const end = line.data() + line.size() - 1;
  const char* begin = line.data();
  while (begin < end && *begin == ' ') {
    ++begin;
  }
  pid_t pid = 0;
  const auto [rest, failed] = std::from_chars(begin, end, pid);
  return failed == std::errc() && rest == end && pid > 0 ? std::optional(pid) : std::nullopt;
}

Error InUse(const std::string& folder, int lock) {
  const auto pid = ReadPid(lock);
  return Error(Code::kAlreadyExists,
               fmt::format("another process{} has the data of the authority in {} open",
                           pid ? fmt::format(" ({})", *pid) : "",
                           folder));
}

Result<void> SyncFolder(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || fsync(fd.get()) != 0) {
    return Failure("sync folder", path, errno);
  }
  return Ok();
}

/// Whether it may be in the folder of a datastore before there is any data.
bool SaysNothing(const fs::directory_entry& entry) {
  std::error_code failed;
  const fs::file_status status = entry.symlink_status(failed);
  if (failed) {
    return false;
  }
  return fs::is_socket(status) ||
         (fs::is_directory(status) && fs::is_empty(entry.path(), failed) && !failed);
}

}  // namespace

Result<DataFolder> DataFolder::Hold(const std::string& folder) {
  std::error_code failed;
  fs::path named = fs::absolute(folder, failed);
  // "/data/" is in "/", not in itself.
  named = named.has_filename() ? named : named.parent_path();
  const std::string absolute = named;
  if (folder.empty() || failed) {
    return Error(Code::kInvalidArgument, fmt::format("'{}' is no folder for data", folder));
  }
  if (auto made = MakeSafeFolders(absolute, kFolderMode); !made.ok()) {
    return std::move(made).error();
  }
  if (auto closed = CheckNotChangeable(absolute); !closed.ok()) {
    return std::move(closed).error();
  }
  const std::string path = named / kLockName;
  UniqueFd lock(
      open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, kFileMode));
  if (!lock.valid()) {
    return Failure("open", path, errno);
  }
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return errno == EWOULDBLOCK ? InUse(absolute, lock.get()) : Failure("lock", path, errno);
  }
  // The umask may have taken bits, or a restore have added some.
  if (fchmod(lock.get(), kFileMode) != 0) {
    return Failure("set the mode of", path, errno);
  }
  const std::string line = fmt::format("{:>{}}\n", getpid(), kPidLineBytes - 1);
  if (auto written = WriteAt(lock.get(), line, 0, path); !written.ok()) {
    return std::move(written).error();
  }
  return DataFolder(absolute, std::move(lock));
}

std::string DataFolder::PathOf(std::string_view name) const {
  return fs::path(folder_) / name;
}

Result<bool> DataFolder::IsMarked() const {
  struct stat info{};
  if (fstat(lock_.get(), &info) != 0) {
    return Failure("stat", PathOf(kLockName), errno);
  }
  return info.st_size > static_cast<off_t>(kPidLineBytes);
}

Result<void> DataFolder::CheckUnused(std::string_view ignored) const {
  const auto marked = IsMarked();
  if (!marked.ok()) {
    return marked.error();
  }
  std::string found = *marked ? std::string(kLockName) : "";
  std::error_code failed;
  for (fs::directory_iterator entry(folder_, failed), end; !failed && entry != end && found.empty();
       entry.increment(failed)) {
    const std::string name = entry->path().filename();
    if (name != kLockName && !name.starts_with(ignored) && !SaysNothing(*entry)) {
      found = name;
    }
  }
  if (failed) {
    return Failure("list", folder_, failed.value());
  }
  if (found.empty()) {
    return Ok();
  }
  return Error(
      Code::kDataLoss,
      fmt::format("{} is missing, but {} is there: restore it from a backup; only an empty "
                  "folder becomes that of a new authority",
                  PathOf("authority.db"),
                  PathOf(found)));
}

Result<void> DataFolder::MarkUsed() const {
  const auto marked = IsMarked();
  if (!marked.ok() || *marked) {
    return marked.ok() ? Ok() : Result<void>(marked.error());
  }
  const std::string path = PathOf(kLockName);
  if (auto written = WriteAt(lock_.get(), kMark, kPidLineBytes, path); !written.ok()) {
    return written;
  }
  return fsync(lock_.get()) == 0 ? Ok() : Result<void>(Failure("sync", path, errno));
}

Result<void> DataFolder::Sync() const {
  if (auto synced = SyncFolder(folder_); !synced.ok()) {
    return synced;
  }
  // One that was made by others may be closed to us.
  auto above = SyncFolder(fs::path(folder_).parent_path());
  return above.ok() || above.error().code() == Code::kPermissionDenied ? Ok() : above;
}

}  // namespace credence
