#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "base/core/result.h"
#include "base/core/secret_bytes.h"
#include "base/core/unique_fd.h"

namespace credence {

/// "permission denied" and so on: strerror without its shared buffer, in lower case.
std::string ErrnoText(int error_number);
/// The code a caller can act on: ENOENT kNotFound, EACCES and EPERM kPermissionDenied, ENOSPC,
/// EMFILE and EDQUOT kResourceExhausted, EEXIST kAlreadyExists, else kInternal.
Code CodeFromErrno(int error_number);

/// The whole of a regular file, at most `max_bytes` long.
/// Errors: as CodeFromErrno; kOutOfRange if it is longer; kInvalidArgument if it is not a regular
/// file.
Result<std::string> ReadFile(const std::string& path, std::size_t max_bytes);
/// The same, into locked memory.
Result<SecretBytes> ReadSecretFile(const std::string& path, std::size_t max_bytes);

/// All of `text` to `fd`. Errors: as CodeFromErrno.
Result<void> WriteAll(int fd, std::string_view text);

/// Replaces `path` in one step: temporary file in the same folder, fsync, rename, fsync of the
/// folder. Readers see the old content or the new, never a part. Errors: as CodeFromErrno; the
/// temporary file is removed.
Result<void> WriteFileAtomically(const std::string& path, std::string_view content, mode_t mode);

/// Creates `path` and its parents with `mode` (0755 and the like); existing folders stay as they
/// are.
Result<void> MakeDirectories(const std::string& path, mode_t mode);

}  // namespace credence
