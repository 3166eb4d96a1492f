#include "plugins/keymanager/disk_key_manager.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "base/core/file.h"
#include "plugins/keymanager/key_file.h"

namespace credence {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;
constexpr mode_t kFolderMode = 0700;
constexpr mode_t kFileMode = 0600;

/// A folder that cannot be written to is to be found at start, not at the first rotation.
Result<void> ProbeFolder(const std::filesystem::path& folder) {
  const std::string probe = folder / ".probe";
  if (auto written = WriteFileAtomically(probe, "", kFileMode); !written.ok()) {
    return written;
  }
  if (unlink(probe.c_str()) != 0) {
    return Error(CodeFromErrno(errno), fmt::format("remove {}: {}", probe, ErrnoText(errno)));
  }
  return Ok();
}

Result<NamedKeys> ReadKeys(const std::string& path) {
  auto content = ReadSecretFile(path, kMaxFileBytes);
  if (!content.ok()) {
    return content.error().code() == Code::kNotFound ? Result<NamedKeys>(NamedKeys())
                                                     : std::move(content).error();
  }
  auto keys = ParseKeyFile(*content);
  if (!keys.ok()) {
    return std::move(keys).error().Wrap(path);
  }
  return keys;
}

}  // namespace

Result<std::unique_ptr<DiskKeyManager>> DiskKeyManager::Open(const std::string& directory) {
  constexpr std::string_view kContext = "keymanager(disk)";
  if (auto made = MakeDirectories(directory, kFolderMode); !made.ok()) {
    return std::move(made).error().Wrap(kContext);
  }
  if (auto probed = ProbeFolder(directory); !probed.ok()) {
    return std::move(probed).error().Wrap(kContext);
  }
  const std::string path = std::filesystem::path(directory) / "keys.json";
  auto keys = ReadKeys(path);
  if (!keys.ok()) {
    return std::move(keys).error().Wrap(kContext);
  }
  return std::unique_ptr<DiskKeyManager>(new DiskKeyManager(path, *std::move(keys)));
}

Result<PrivateKey> DiskKeyManager::Generate(std::string key_name) {
  auto key = PrivateKey::Generate(KeyType::kEcP256);
  if (!key.ok()) {
    return key;
  }
  auto keys = keys_;
  keys.insert_or_assign(std::move(key_name), *key);
  const auto content = WriteKeyFile(keys);
  if (auto written = WriteFileAtomically(path_, content.Reveal(), kFileMode); !written.ok()) {
    return std::move(written).error().Wrap("keymanager(disk)");
  }
  keys_ = std::move(keys);
  return key;
}

Result<std::optional<PrivateKey>> DiskKeyManager::Get(std::string key_name) {
  const auto key = keys_.find(key_name);
  if (key == keys_.end()) {
    return std::optional<PrivateKey>();
  }
  return std::optional<PrivateKey>(key->second);
}

}  // namespace credence
