#pragma once

#include <map>
#include <string>

#include "base/core/result.h"
#include "base/core/secret_bytes.h"
#include "base/crypto/private_key.h"

namespace credence {

using NamedKeys = std::map<std::string, PrivateKey>;

/// Reads the content of a keys.json. No key ever stands in memory that is not wiped.
/// Errors: kDataLoss saying what is wrong, without any content.
Result<NamedKeys> ParseKeyFile(const SecretBytes& content);

/// The content of a keys.json.
SecretBytes WriteKeyFile(const NamedKeys& keys);

}  // namespace credence
