#pragma once

#include <string_view>

#include "agent/authority/keys/signing_keys.h"

/// One key: made, or read back.
namespace credence {

/// "X509" or "JWT".
std::string_view KindName(authority::v1::SigningKeyRecord::Kind kind);

/// Generates a PREPARED key and writes its file, which is all that is kept of it. Errors: those of
/// files; kInvalidArgument for a life that is not from one minute to ten years.
Result<SigningKey> MakeSigningKey(const SigningKeyOptions& options,
                                  authority::v1::SigningKeyRecord::Kind kind,
                                  WallTime now);

/// The key of `record`. Errors: as LoadSigningKeys.
Result<SigningKey> ReadSigningKey(const SigningKeyOptions& options,
                                  const authority::v1::SigningKeyRecord& record);

}  // namespace credence
