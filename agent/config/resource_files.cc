#include "agent/config/resource_files.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "agent/config/yaml_document.h"
#include "base/core/file.h"

namespace credence {
namespace {

namespace fs = std::filesystem;

enum class Role { kFile, kFolderOfFiles, kFolderOnTheWay };

bool MountedReadOnly(const std::string& path) {
  struct statvfs info{};
  return statvfs(path.c_str(), &info) == 0 && (info.f_flag & ST_RDONLY) != 0;
}

/// Fails if somebody else than root and we could change what is at `path`.
Result<void> CheckSafe(const std::string& path, Role role) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) {
    return Error(CodeFromErrno(errno), fmt::format("stat {}: {}", path, ErrnoText(errno)));
  }
  if (info.st_uid != 0 && info.st_uid != geteuid()) {
    return Error(Code::kPermissionDenied,
                 fmt::format("{} belongs to uid {}: expected root or the agent's own user ({})",
                             path,
                             info.st_uid,
                             geteuid()));
  }
  const bool by_group =
      (info.st_mode & S_IWGRP) != 0 && info.st_gid != 0 && info.st_gid != getegid();
  const bool by_all = (info.st_mode & S_IWOTH) != 0;
  const bool sticky = role == Role::kFolderOnTheWay && (info.st_mode & S_ISVTX) != 0;
  if ((by_group || by_all) && !sticky && !MountedReadOnly(path)) {
    return Error(
        Code::kPermissionDenied,
        fmt::format(
            "{} can be written by {}: expected only root and the agent's own user (chmod go-w)",
            path,
            by_all ? "everybody" : fmt::format("group {}", info.st_gid)));
  }
  return Ok();
}

/// Every folder above `path`, which is absolute.
Result<void> CheckWay(const fs::path& path) {
  fs::path folder = path.parent_path();
  while (true) {
    if (auto safe = CheckSafe(folder.string(), Role::kFolderOnTheWay); !safe.ok()) {
      return safe;
    }
    if (folder == folder.parent_path()) {
      return Ok();
    }
    folder = folder.parent_path();
  }
}

/// `path` itself and the way to it, both as written and with links followed.
Result<void> CheckAll(const std::string& path, Role role) {
  std::error_code failed;
  const fs::path written = fs::absolute(path, failed).lexically_normal();
  const fs::path real = failed ? fs::path() : fs::canonical(written, failed);
  if (failed) {
    return Error(CodeFromErrno(failed.value()),
                 fmt::format("open {}: {}", path, ErrnoText(failed.value())));
  }
  if (auto safe = CheckSafe(real.string(), role); !safe.ok()) {
    return safe;
  }
  if (auto safe = CheckWay(written); !safe.ok()) {
    return safe;
  }
  return CheckWay(real);
}

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
  if (auto safe = CheckAll(path, Role::kFolderOfFiles); !safe.ok()) {
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
  if (auto safe = CheckAll(path, Role::kFile); !safe.ok()) {
    return std::move(safe).error();
  }
  // Nobody else can put another file here between the check and the reading: the way is closed to
  // them.
  return ReadFile(path, kMaxYamlBytes);
}

}  // namespace credence
