#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/core/result.h"
#include "base/core/unique_fd.h"

namespace credence {

using SharedFd = std::shared_ptr<const UniqueFd>;

/// Puts what was written to `fd` on the disk. Blocks; any thread. Errors: as CodeFromErrno.
Result<void> SyncToDisk(int fd);

/// The audit log's file: whole lines or nothing. Used by one thread at a time; calls block.
class AuditFile {
 public:
  explicit AuditFile(std::string path) : path_(std::move(path)) {}

  /// Opens or creates the file (0600) and its folder (0700); ends a line that a crash cut short.
  /// Errors: as CodeFromErrno; kInvalidArgument if it is no regular file of this user.
  Result<void> Open();

  /// Appends `lines`; opens the path again first if another file, or none, stands there now. On
  /// failure nothing of `lines` stays. Returns the file they went to, for SyncToDisk.
  Result<SharedFd> Append(std::string_view lines);

  /// Opens the path again before the next line.
  void Close() { fd_ = nullptr; }

  const std::string& path() const { return path_; }

 private:
  Error Failure(std::string_view what, int error_number) const;
  bool StandsAtPath() const;
  Result<void> EndCutLine();

  std::string path_;
  SharedFd fd_;
  /// A line that could not be taken back stands at the end.
  bool torn_ = false;
};

}  // namespace credence
