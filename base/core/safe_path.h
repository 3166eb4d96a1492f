#pragma once

#include <sys/types.h>

#include <string>

#include "base/core/result.h"

namespace credence {

/// Fails if anybody but root and the user of this process could put something else at `path`:
/// whatever is on the way, each link and the folders that it leads through included, belongs to
/// one of the two, and nobody else can write a folder there. A folder in which users cannot remove
/// each other's files (sticky) is fine. What stands at `path` must belong to one of the two as
/// well; its mode counts if it is a folder. Mode bits do not count on a file system that is mounted
/// read-only, nor does the group of this process as somebody else. Errors: kPermissionDenied,
/// naming what is open to whom; as CodeFromErrno, naming what cannot be looked at.
Result<void> CheckNotReplaceable(const std::string& path);

/// The same, and nobody else can write the file or add to the folder at `path`: sticky is not
/// enough there.
Result<void> CheckNotChangeable(const std::string& path);

/// Makes the folders of `path` that are not there with `mode`, and fails as CheckNotReplaceable
/// does, before it goes into a folder that is not safe.
Result<void> MakeSafeFolders(const std::string& path, mode_t mode);

}  // namespace credence
