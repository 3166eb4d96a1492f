#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "base/crypto/private_key.h"

/// The files of signing keys: PKCS#8 PEM, mode 0600, in a folder that nobody else can change. Each
/// call blocks.
namespace credence {

/// 40 digits of lower-case hexadecimal that follow from the public key (DER SubjectPublicKeyInfo).
std::string SigningKeyId(std::string_view public_key);
bool IsSigningKeyId(std::string_view text);

std::string KeyFilePath(const std::string& folder, std::string_view id);

/// Makes the folder (0700), durably. Errors: kPermissionDenied when others can change it; as
/// CodeFromErrno.
Result<void> MakeKeyFolder(const std::string& folder);

/// Errors: as WriteFileAtomically.
Result<void> WriteKeyFile(const std::string& folder, std::string_view id, const PrivateKey& key);

/// Errors: kDataLoss naming the file when it is missing, damaged, open to others than its owner, or
/// holds the key of another ID; as ReadSecretFile.
Result<PrivateKey> ReadKeyFile(const std::string& folder, std::string_view id);

/// Removes every key file but those of `ids`; other files stay. Errors: as CodeFromErrno.
Result<void> RemoveOtherKeyFiles(const std::string& folder, const std::vector<std::string>& ids);

}  // namespace credence
