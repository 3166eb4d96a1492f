#include "agent/governance/audit_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include <fmt/format.h>

#include "base/core/file.h"

namespace credence {

Error AuditFile::Failure(std::string_view what, int error_number) const {
  return Error(CodeFromErrno(error_number),
               fmt::format("{} {}: {}", what, path_, ErrnoText(error_number)));
}

bool AuditFile::StandsAtPath() const {
  struct stat at_path{};
  struct stat opened{};
  return stat(path_.c_str(), &at_path) == 0 && fstat(fd_->get(), &opened) == 0 &&
         at_path.st_dev == opened.st_dev && at_path.st_ino == opened.st_ino;
}

Result<void> AuditFile::Open() {
  const std::string folder = std::filesystem::path(path_).parent_path();
  if (!folder.empty()) {
    if (auto made = MakeDirectories(folder, 0700); !made.ok()) {
      return made;
    }
  }
  // O_NOFOLLOW, O_NONBLOCK: neither a link nor a FIFO in the file's place may lead the log
  // elsewhere or stop it.
  UniqueFd fd(
      open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (!fd.valid()) {
    return Failure("open", errno);
  }
  struct stat info{};
  if (fstat(fd.get(), &info) != 0) {
    return Failure("stat", errno);
  }
  if (!S_ISREG(info.st_mode) || info.st_uid != geteuid()) {
    return Error(Code::kInvalidArgument,
                 fmt::format("{} is not a regular file of this user", path_));
  }
  constexpr mode_t kOthers = 077;
  if ((info.st_mode & kOthers) != 0 && fchmod(fd.get(), 0600) != 0) {
    return Failure("chmod", errno);
  }
  fd_ = std::make_shared<const UniqueFd>(std::move(fd));
  torn_ = false;
  if (info.st_size > 0) {
    char last = 0;
    torn_ = pread(fd_->get(), &last, 1, info.st_size - 1) != 1 || last != '\n';
  }
  return Ok();
}

Result<void> AuditFile::EndCutLine() {
  if (!torn_) {
    return Ok();
  }
  if (auto written = WriteAll(fd_->get(), "\n"); !written.ok()) {
    return written;
  }
  torn_ = false;
  return Ok();
}

Result<SharedFd> AuditFile::Append(std::string_view lines) {
  if (!fd_ || !StandsAtPath()) {
    if (auto opened = Open(); !opened.ok()) {
      return std::move(opened).error();
    }
  }
  struct stat before{};
  if (fstat(fd_->get(), &before) != 0) {
    return Failure("stat", errno);
  }
  const bool torn = torn_;
  auto written = EndCutLine();
  if (written.ok()) {
    written = WriteAll(fd_->get(), lines);
  }
  if (written.ok()) {
    return fd_;
  }
  // A part of a line would spoil the next one. What ended a torn line goes with it.
  torn_ = ftruncate(fd_->get(), before.st_size) != 0 || torn;
  return std::move(written).error().Wrap(path_);
}

Result<void> SyncToDisk(int fd) {
  if (fdatasync(fd) != 0) {
    return Error(CodeFromErrno(errno), fmt::format("sync: {}", ErrnoText(errno)));
  }
  return Ok();
}

}  // namespace credence
