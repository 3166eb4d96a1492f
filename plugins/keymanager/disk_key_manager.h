#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/core/secret_bytes.h"
#include "plugins/contract/key_manager.h"

namespace credence {

/// Keeps keys in `<directory>/keys.json`, mode 0600, in the form of SPIRE's disk key manager, so
/// that either agent can go on with the keys of the other. Threads: one call at a time. Source:
/// SPIRE's file, {"keys": {"<name>": "<base64 of PKCS#8 DER>"}}.
class DiskKeyManager final : public KeyManager {
 public:
  /// Creates `directory` (mode 0700) if absent, makes sure that it can be written to, and reads
  /// what is there. Blocks. Errors: as CodeFromErrno for the folder and the file; kDataLoss for a
  /// file that is not in that form.
  static Result<std::unique_ptr<DiskKeyManager>> Open(const std::string& directory);

  std::string_view name() const override { return "disk"; }
  /// Errors: as CodeFromErrno when the file cannot be written.
  Result<PrivateKey> Generate(std::string key_name) override;
  Result<std::optional<PrivateKey>> Get(std::string key_name) override;

 private:
  using Keys = std::map<std::string, PrivateKey>;

  DiskKeyManager(std::string path, Keys keys) : path_(std::move(path)), keys_(std::move(keys)) {}

  const std::string path_;
  Keys keys_;
};

}  // namespace credence
