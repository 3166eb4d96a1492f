#include "agent/cli/private_folder.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "agent/cli/environment.h"
#include "base/core/file.h"

namespace credence {
namespace {

constexpr mode_t kOwnerOnly = 0700;

bool IsOursAlone(const char* path) {
  struct stat info{};
  return lstat(path, &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == geteuid() &&
         (info.st_mode & 077) == 0;
}

std::vector<std::string> Candidates() {
  std::vector<std::string> candidates;
  if (std::string runtime = EnvironmentVariable("XDG_RUNTIME_DIR"); IsOursAlone(runtime.c_str())) {
    candidates.push_back(std::move(runtime));
  }
  candidates.emplace_back("/dev/shm");
  if (std::string temporary = EnvironmentVariable("TMPDIR"); temporary.starts_with('/')) {
    candidates.push_back(std::move(temporary));
  }
  candidates.emplace_back("/tmp");
  return candidates;
}

}  // namespace

Result<PrivateFolder> PrivateFolder::Create() {
  int error_number = 0;
  for (const std::string& parent : Candidates()) {
    std::string path = parent + "/credence-XXXXXX";
    if (mkdtemp(path.data()) != nullptr) {
      return PrivateFolder(std::move(path));
    }
    error_number = errno;
  }
  return Error(
      CodeFromErrno(error_number),
      fmt::format("create a private folder in /dev/shm or /tmp: {}", ErrnoText(error_number)));
}

PrivateFolder::~PrivateFolder() {
  if (!path_.empty()) {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
}

Result<void> PrivateFolder::Write(const std::string& relative,
                                  std::string_view content,
                                  mode_t mode) const {
  const std::filesystem::path inside = std::filesystem::path(relative).lexically_normal();
  if (relative.empty() || inside.is_absolute() || *inside.begin() == "..") {
    return Error(Code::kInvalidArgument,
                 fmt::format("\"{}\" is no path inside the private folder", relative));
  }
  const std::string path = (std::filesystem::path(path_) / inside).string();
  if (auto made = MakeDirectories(std::filesystem::path(path).parent_path().string(), kOwnerOnly);
      !made.ok()) {
    return made;
  }
  return WriteFileAtomically(path, content, mode);
}

}  // namespace credence
