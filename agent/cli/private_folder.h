#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/core/result.h"
#include "base/core/unique_fd.h"

namespace credence {

/// A folder that only this user can enter, in memory where the system offers it, removed with all
/// it holds when this object goes. It is held open and locked (shared), which keeps the system's
/// cleaner of old files away; if something else removes or replaces it, nothing is written any
/// more.
class PrivateFolder {
 public:
  /// In XDG_RUNTIME_DIR if that is ours alone, else /dev/shm, else TMPDIR or /tmp. Removes there
  /// what processes of this user that were killed have left. Errors: as CodeFromErrno, naming the
  /// folder.
  static Result<PrivateFolder> Create();

  PrivateFolder(PrivateFolder&& other) noexcept = default;
  PrivateFolder& operator=(PrivateFolder&&) = delete;
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;
  ~PrivateFolder();

  const std::string& path() const { return path_; }

  /// Writes `content` to `relative` in one step, making folders (0700) on the way; follows no link.
  /// Errors: kInvalidArgument for a path that is absolute or leads outside; kFailedPrecondition if
  /// the folder is no longer where it was; as CodeFromErrno.
  Result<void> Write(const std::string& relative, std::string_view content, mode_t mode) const;

 private:
  PrivateFolder(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  static void RemoveLeftovers(const std::string& parent);
  bool IsInPlace() const;

  std::string path_;
  UniqueFd fd_;
};

}  // namespace credence
