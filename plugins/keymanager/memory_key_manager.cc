#include "plugins/keymanager/memory_key_manager.h"

#include <utility>

namespace credence {

Result<PrivateKey> MemoryKeyManager::Generate(std::string key_name) {
  auto key = PrivateKey::Generate(KeyType::kEcP256);
  if (key.ok()) {
    keys_.insert_or_assign(std::move(key_name), *key);
  }
  return key;
}

Result<std::optional<PrivateKey>> MemoryKeyManager::Get(std::string key_name) {
  const auto key = keys_.find(key_name);
  if (key == keys_.end()) {
    return std::optional<PrivateKey>();
  }
  return std::optional<PrivateKey>(key->second);
}

}  // namespace credence
