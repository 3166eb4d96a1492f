#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "plugins/contract/key_manager.h"

namespace credence {

/// Keeps keys for the life of the process; a restart means a new node attestation.
/// Threads: one call at a time.
class MemoryKeyManager final : public KeyManager {
 public:
  std::string_view name() const override { return "memory"; }
  Result<PrivateKey> Generate(std::string key_name) override;
  Result<std::optional<PrivateKey>> Get(std::string key_name) override;

 private:
  std::map<std::string, PrivateKey> keys_;
};

}  // namespace credence
