#pragma once

#include <cstddef>
#include <string>

#include "base/core/result.h"

namespace credence {

/// All of a file or pipe, or of standard input for "-". Errors: as CodeFromErrno; kOutOfRange if it
/// is longer than `max_bytes`; each names `path`.
Result<std::string> ReadInput(const std::string& path, std::size_t max_bytes);

}  // namespace credence
