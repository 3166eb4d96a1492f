#include "agent/config/resource_files.h"

#include <errno.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

#include <fmt/format.h>

#include "agent/config/yaml_document.h"
#include "base/core/file.h"
#include "base/core/safe_path.h"

namespace credence {
namespace {

namespace fs = std::filesystem;

bool IsResourceFileName(const fs::path& name) {
  const std::string text = name.filename().string();
  return !text.starts_with('.') && (name.extension() == ".yaml" || name.extension() == ".yml");
}

}  // namespace

Result<std::vector<std::string>> ListResourceFiles(const std::string& path) {
  std::error_code failed;
  const fs::file_status status = fs::status(path, failed);
  if (failed || !fs::exists(status)) {
    const int number = failed ? failed.value() : ENOENT;
    return Error(CodeFromErrno(number), fmt::format("open {}: {}", path, ErrnoText(number)));
  }
  if (!fs::is_directory(status)) {
    return std::vector<std::string>{path};
  }
  if (auto safe = CheckNotChangeable(path); !safe.ok()) {
    return std::move(safe).error();
  }
  std::vector<std::string> files;
  fs::directory_iterator entry(path, failed);
  while (!failed && entry != fs::directory_iterator()) {
    std::error_code unknown;
    if (IsResourceFileName(entry->path()) && !entry->is_directory(unknown)) {
      files.push_back(entry->path().string());
    }
    if (files.size() > kMaxResourceFiles) {
      return Error(Code::kOutOfRange,
                   fmt::format("{} has more than {} files", path, kMaxResourceFiles));
    }
    entry.increment(failed);
  }
  if (failed) {
    return Error(CodeFromErrno(failed.value()),
                 fmt::format("list {}: {}", path, ErrnoText(failed.value())));
  }
  std::sort(files.begin(), files.end());
  return files;
}

Result<std::string> ReadResourceFile(const std::string& path) {
  if (auto safe = CheckNotChangeable(path); !safe.ok()) {
    return std::move(safe).error();
  }
  // Nobody else can put another file here between the check and the reading: the way is closed to
  // them.
  return ReadFile(path, kMaxYamlBytes);
}

void ReadResourceFiles(
    const std::vector<std::string>& paths,
    const std::function<void(const std::string& file, Result<std::string> text)>& take) {
  std::set<std::string> read;
  for (const std::string& path : paths) {
    const auto files = ListResourceFiles(path);
    if (!files.ok()) {
      take(path, files.error());
      continue;
    }
    for (const std::string& file : *files) {
      // Named twice, as a file and by its folder.
      if (!read.insert(file).second) {
        continue;
      }
      if (read.size() > kMaxResourceFiles) {
        take(path,
             Error(Code::kOutOfRange, fmt::format("more than {} files in all", kMaxResourceFiles)));
        return;
      }
      take(file, ReadResourceFile(file));
    }
  }
}

}  // namespace credence
