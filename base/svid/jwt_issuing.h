#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/core/secret_bytes.h"
#include "base/crypto/private_key.h"
#include "base/spiffe/spiffe_id.h"

namespace credence {

/// The claims of a JWT-SVID.
struct JwtSvidContent {
  SpiffeId subject;
  /// At least one, none empty; always an array in the token.
  std::vector<std::string> audience;
  WallTime issued_at;
  WallTime expires_at;
  /// "" leaves the claim out.
  std::string issuer;
  std::string jti;
};

/// A JWS in compact serialization with typ JWT, signed by `key` whose kid is `key_id`: ES256 or
/// ES384 after the curve, RS256 for RSA. At most kMaxJwtBytes long. Blocks for 30 us to 5 ms.
/// Threads: any. Errors: kInvalidArgument for no audience or an empty one, claims that are too long
/// or not UTF-8, no `key_id`, or a key of another kind; kInternal. Source: RFC 7515 section 3.1;
/// JWT-SVID sections 2 and 3.
Result<SecretBytes> SignJwtSvid(const JwtSvidContent& content,
                                const PrivateKey& key,
                                std::string_view key_id);

}  // namespace credence
