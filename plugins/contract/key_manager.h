#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/core/result.h"
#include "base/crypto/private_key.h"

namespace credence {

/// Keeps the agent's own keys by name. Calls block; the agent makes them on a pool.
class KeyManager {
 public:
  virtual ~KeyManager() = default;

  virtual std::string_view name() const = 0;
  /// A new EC P-256 key under `key_name`, replacing one of that name. On failure the old one stays.
  virtual Result<PrivateKey> Generate(std::string key_name) = 0;
  /// nullopt if there is none of that name.
  virtual Result<std::optional<PrivateKey>> Get(std::string key_name) = 0;
};

}  // namespace credence
