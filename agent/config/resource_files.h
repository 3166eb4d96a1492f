#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "base/core/result.h"

namespace credence {

inline constexpr std::size_t kMaxResourceFiles = 1000;

/// The *.yaml and *.yml of a folder, not deeper and not hidden, sorted by name; or `path` itself if
/// it is a file. Errors: as CodeFromErrno; kOutOfRange for more than kMaxResourceFiles;
/// kPermissionDenied if the folder is not safe.
Result<std::vector<std::string>> ListResourceFiles(const std::string& path);

/// Content of a file of at most 1 MiB that only root and the user of this process can change, by
/// CheckNotChangeable. Errors: kPermissionDenied, naming what is open to whom; those of ReadFile.
Result<std::string> ReadResourceFile(const std::string& path);

/// Hands `take` the content, or what is wrong, of each file of `paths` (files and folders, as
/// ListResourceFiles); a file that is named twice comes once, and after kMaxResourceFiles of all
/// nothing more does. What is wrong with a path comes by its name.
void ReadResourceFiles(
    const std::vector<std::string>& paths,
    const std::function<void(const std::string& file, Result<std::string> text)>& take);

}  // namespace credence
