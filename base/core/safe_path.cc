#include "base/core/safe_path.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <deque>
#include <filesystem>
#include <optional>
#include <system_error>

#include <fmt/format.h>

#include "base/core/file.h"

namespace credence {
namespace {

namespace fs = std::filesystem;

/// As many as the kernel follows.
constexpr int kMostLinks = 40;

Error Failure(std::string_view what, const fs::path& path, int error_number) {
  return Error(CodeFromErrno(error_number),
               fmt::format("{} {}: {}", what, path.string(), ErrnoText(error_number)));
}

bool MountedReadOnly(const fs::path& path) {
  struct statvfs info{};
  return statvfs(path.c_str(), &info) == 0 && (info.f_flag & ST_RDONLY) != 0;
}

Result<void> CheckOwner(const fs::path& path, const struct stat& info) {
  if (info.st_uid == 0 || info.st_uid == geteuid()) {
    return Ok();
  }
  return Error(Code::kPermissionDenied,
               fmt::format("{} belongs to uid {}: expected root or the user of this process ({}); "
                           "chown it",
                           path.string(),
                           info.st_uid,
                           geteuid()));
}

Result<void> CheckMode(const fs::path& path, const struct stat& info, bool sticky_will_do) {
  const bool by_group =
      (info.st_mode & S_IWGRP) != 0 && info.st_gid != 0 && info.st_gid != getegid();
  const bool by_all = (info.st_mode & S_IWOTH) != 0;
  const bool closed = (!by_group && !by_all) || (sticky_will_do && (info.st_mode & S_ISVTX) != 0);
  if (closed || MountedReadOnly(path)) {
    return Ok();
  }
  return Error(Code::kPermissionDenied,
               fmt::format("{} can be written by {}: expected only root and the user of this "
                           "process (chmod go-w)",
                           path.string(),
                           by_all ? "everybody" : fmt::format("group {}", info.st_gid)));
}

/// Goes from the root to the end of a path as the kernel does, and looks at each thing it comes by.
class Walk {
 public:
  /// `make` is the mode of folders to make; without it a missing one is an error.
  explicit Walk(std::optional<mode_t> make) : make_(make) {}

  /// Where the path ends, free of links.
  Result<fs::path> To(const std::string& path) {
    std::error_code failed;
    const fs::path absolute = fs::absolute(path, failed);
    if (failed) {
      return Failure("open", path, path.empty() ? ENOENT : failed.value());
    }
    if (auto entered = Enter("/"); !entered.ok()) {
      return std::move(entered).error();
    }
    Prepend(absolute);
    while (!left_.empty()) {
      const fs::path part = std::move(left_.front());
      left_.pop_front();
      if (part == "..") {
        at_ = at_.parent_path();
      } else if (auto entered = Enter(at_ / part); !entered.ok()) {
        return std::move(entered).error();
      }
    }
    return at_;
  }

 private:
  void Prepend(const fs::path& path) {
    if (path.is_absolute()) {
      at_ = "/";
    }
    const fs::path parts = path.relative_path();
    std::deque<fs::path> first;
    for (const fs::path& part : parts) {
      if (!part.empty() && part != ".") {
        first.push_back(part);
      }
    }
    left_.insert(left_.begin(), first.begin(), first.end());
  }

  Result<void> Enter(const fs::path& next) {
    struct stat info{};
    if (auto looked = Look(next, info); !looked.ok()) {
      return looked;
    }
    if (auto ours = CheckOwner(next, info); !ours.ok()) {
      return ours;
    }
    if (S_ISLNK(info.st_mode)) {
      return Follow(next);
    }
    at_ = next;
    return S_ISDIR(info.st_mode) ? CheckMode(next, info, true) : Ok();
  }

  Result<void> Look(const fs::path& next, struct stat& info) const {
    if (lstat(next.c_str(), &info) == 0) {
      return Ok();
    }
    // Another may make it first: then it is looked at like any other.
    if (errno == ENOENT && make_) {
      const bool made = mkdir(next.c_str(), *make_) == 0;
      if (!made && errno != EEXIST) {
        return Failure("create folder", next, errno);
      }
      // The umask has taken bits. What stands here nobody else can have replaced.
      if (made && chmod(next.c_str(), *make_) != 0) {
        return Failure("set the mode of", next, errno);
      }
    }
    return lstat(next.c_str(), &info) == 0 ? Ok() : Result<void>(Failure("open", next, errno));
  }

  Result<void> Follow(const fs::path& link) {
    std::error_code failed;
    const fs::path target = fs::read_symlink(link, failed);
    if (failed || ++links_ > kMostLinks) {
      return Failure("open", link, failed ? failed.value() : ELOOP);
    }
    Prepend(target);
    return Ok();
  }

  std::optional<mode_t> make_;
  fs::path at_ = "/";
  std::deque<fs::path> left_;
  int links_ = 0;
};

}  // namespace

Result<void> CheckNotReplaceable(const std::string& path) {
  const auto end = Walk(std::nullopt).To(path);
  return end.ok() ? Ok() : Result<void>(end.error());
}

Result<void> CheckNotChangeable(const std::string& path) {
  const auto end = Walk(std::nullopt).To(path);
  if (!end.ok()) {
    return end.error();
  }
  struct stat info{};
  if (lstat(end->c_str(), &info) != 0) {
    return Failure("open", *end, errno);
  }
  return CheckMode(*end, info, false);
}

Result<void> MakeSafeFolders(const std::string& path, mode_t mode) {
  const auto end = Walk(mode).To(path);
  if (!end.ok()) {
    return end.error();
  }
  std::error_code failed;
  if (!fs::is_directory(*end, failed)) {
    return Error(Code::kInvalidArgument, fmt::format("{} is not a folder", path));
  }
  return Ok();
}

}  // namespace credence
