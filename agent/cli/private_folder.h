#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/core/result.h"

namespace credence {

/// A folder that only this user can enter, in memory where the system offers it, removed with all
/// it holds when this object goes.
class PrivateFolder {
 public:
  /// In XDG_RUNTIME_DIR if that is ours alone, else /dev/shm, else TMPDIR or /tmp.
  /// Errors: as CodeFromErrno, naming the folder.
  static Result<PrivateFolder> Create();

  PrivateFolder(PrivateFolder&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  PrivateFolder& operator=(PrivateFolder&&) = delete;
  PrivateFolder(const PrivateFolder&) = delete;
  PrivateFolder& operator=(const PrivateFolder&) = delete;
  ~PrivateFolder();

  const std::string& path() const { return path_; }

  /// Writes `content` to `relative` in one step, making folders (0700) on the way.
  /// Errors: kInvalidArgument for a path that is absolute or leads outside; as CodeFromErrno.
  Result<void> Write(const std::string& relative, std::string_view content, mode_t mode) const;

 private:
  explicit PrivateFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace credence
