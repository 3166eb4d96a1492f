#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/core/result.h"
#include "base/core/unique_fd.h"

namespace credence {

/// The folder of a datastore, for as long as this process has it to itself. Its authority.lock
/// holds the number of that process and, from the first database on, that there is one.
class DataFolder {
 public:
  /// Makes the folder (0700) if there is none and locks it. Errors: kAlreadyExists naming the
  /// folder, and the process where it is known; kPermissionDenied when others can write it; as
  /// CodeFromErrno.
  static Result<DataFolder> Hold(const std::string& folder);

  std::string PathOf(std::string_view name) const;

  /// Fails unless nothing has ever been kept here: there is no mark, and nothing in the folder but
  /// sockets, empty folders and files whose name starts with `ignored`. Errors: kDataLoss naming
  /// what is there.
  Result<void> CheckUnused(std::string_view ignored) const;
  /// Lets CheckUnused fail from now on, durably. Errors: as CodeFromErrno.
  Result<void> MarkUsed() const;
  /// Makes durable which files are here, and the folder itself. Errors: as CodeFromErrno.
  Result<void> Sync() const;

 private:
  DataFolder(std::string folder, UniqueFd lock)
      : folder_(std::move(folder)), lock_(std::move(lock)) {}

  Result<bool> IsMarked() const;

  /// Absolute.
  std::string folder_;
  UniqueFd lock_;
};

}  // namespace credence
