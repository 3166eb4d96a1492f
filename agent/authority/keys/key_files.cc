#include "agent/authority/keys/key_files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/core/file.h"
#include "base/core/safe_path.h"
#include "base/core/unique_fd.h"
#include "base/crypto/digest.h"

namespace credence {
namespace {

constexpr std::size_t kIdDigits = 40;
constexpr std::size_t kMaxFileBytes = std::size_t{64} << 10;
constexpr mode_t kFolderMode = 0700;
constexpr mode_t kFileMode = 0600;
constexpr mode_t kOthers = 0077;
constexpr std::string_view kSuffix = ".pem";
/// What WriteFileAtomically leaves when it is killed.
constexpr std::string_view kTemporarySuffix = ".pem.tmp";

Error Lost(const std::string& path, std::string_view why) {
  return Error(Code::kDataLoss, fmt::format("signing key file {} {}", path, why));
}

/// Errors: as ReadKeyFile.
Result<void> CheckFile(const std::string& path) {
  struct stat info{};
  if (lstat(path.c_str(), &info) != 0) {
    const int error_number = errno;
    if (CodeFromErrno(error_number) == Code::kNotFound) {
      return Lost(path, "is missing");
    }
    return Error(CodeFromErrno(error_number),
                 fmt::format("stat {}: {}", path, ErrnoText(error_number)));
  }
  if (!S_ISREG(info.st_mode)) {
    return Lost(path, "is not a regular file");
  }
  if (info.st_uid != geteuid() && info.st_uid != 0) {
    return Lost(path, fmt::format("belongs to user {}", info.st_uid));
  }
  if ((info.st_mode & kOthers) != 0) {
    return Lost(path,
                fmt::format("is open to others than its owner: mode {:04o}, expected {:04o}",
                            info.st_mode & 07777U,
                            kFileMode));
  }
  return Ok();
}

bool IsKeyFile(std::string_view name) {
  return name.size() > kIdDigits && IsSigningKeyId(name.substr(0, kIdDigits)) &&
         (name.substr(kIdDigits) == kSuffix || name.substr(kIdDigits) == kTemporarySuffix);
}

}  // namespace

std::string SigningKeyId(std::string_view public_key) {
  return Hex(Sha256(public_key)).substr(0, kIdDigits);
}

bool IsSigningKeyId(std::string_view text) {
  return text.size() == kIdDigits && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::string KeyFilePath(const std::string& folder, std::string_view id) {
  return fmt::format("{}/{}{}", folder, id, kSuffix);
}

Result<void> MakeKeyFolder(const std::string& folder) {
  if (auto made = MakeSafeFolders(folder, kFolderMode); !made.ok()) {
    return made;
  }
  if (auto safe = CheckNotChangeable(folder); !safe.ok()) {
    return safe;
  }
  const std::string parent = folder + "/..";
  const UniqueFd fd(open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || fsync(fd.get()) != 0) {
    const int error_number = errno;
    return Error(CodeFromErrno(error_number),
                 fmt::format("sync {}: {}", parent, ErrnoText(error_number)));
  }
  return Ok();
}

Result<void> WriteKeyFile(const std::string& folder, std::string_view id, const PrivateKey& key) {
  const SecretBytes pem = key.ToPkcs8Pem();
  return WriteFileAtomically(KeyFilePath(folder, id), pem.Reveal(), kFileMode);
}

Result<PrivateKey> ReadKeyFile(const std::string& folder, std::string_view id) {
  const std::string path = KeyFilePath(folder, id);
  if (auto checked = CheckFile(path); !checked.ok()) {
    return std::move(checked).error();
  }
  const auto pem = ReadSecretFile(path, kMaxFileBytes);
  if (!pem.ok()) {
    return pem.error().code() == Code::kOutOfRange ? Lost(path, "is too long") : pem.error();
  }
  auto key = PrivateKey::FromPem(*pem);
  if (!key.ok()) {
    return Lost(path, "is damaged: " + key.error().message());
  }
  if (SigningKeyId(key->PublicKey()) != id) {
    return Lost(path, "holds another key than the one it is named after");
  }
  return key;
}

Result<void> RemoveOtherKeyFiles(const std::string& folder, const std::vector<std::string>& ids) {
  std::error_code error;
  std::vector<std::string> strays;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename();
    const bool wanted =
        name.ends_with(kSuffix) && std::ranges::find(ids, name.substr(0, kIdDigits)) != ids.end();
    if (IsKeyFile(name) && !wanted) {
      strays.push_back(at->path());
    }
  }
  if (error) {
    return Error(CodeFromErrno(error.value()),
                 fmt::format("list {}: {}", folder, ErrnoText(error.value())));
  }
  for (const std::string& stray : strays) {
    if (unlink(stray.c_str()) != 0 && errno != ENOENT) {
      const int error_number = errno;
      return Error(CodeFromErrno(error_number),
                   fmt::format("remove {}: {}", stray, ErrnoText(error_number)));
    }
  }
  return Ok();
}

}  // namespace credence
