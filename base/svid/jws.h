#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "base/svid/bundle.h"

/// JWS compact serialization as far as JWT-SVIDs use it.
namespace credence {

/// One of the nine algorithms of a JWT-SVID. Source: RFC 7518 section 3.1.
struct SignatureAlgorithm {
  enum class Family { kRsaPkcs1, kRsaPss, kEcdsa };

  std::string_view name;
  Family family;
  /// OpenSSL's name of the hash.
  const char* digest;
  /// OpenSSL's name of the curve; "" unless kEcdsa.
  std::string_view curve;
  /// Length of r and of s in a signature, in bytes; 0 unless kEcdsa.
  std::size_t coordinate_bytes;
};

/// A token whose header follows the rules; nothing is known about its payload or signature.
struct Jws {
  const SignatureAlgorithm* algorithm = nullptr;
  /// nullopt when the header has none.
  std::optional<std::string> key_id;
  /// header "." payload as they stand in the token, which is what is signed.
  std::string_view signed_part;
  /// Decoded; JSON by convention only.
  std::string payload;
  std::string signature;
};

/// Splits a token and checks its header: three parts, the algorithm before anything else, then
/// "typ", and no member but "alg", "kid" and "typ". The result points into `token`. Errors:
/// kInvalidArgument naming the rule. Source: RFC 7515 section 3.1, JWT-SVID section 2.
Result<Jws> ParseJws(std::string_view token);

/// Whether one of `authorities` made the signature: those with the token's kid, or, when it has
/// none, those whose key fits the algorithm; at most 8 are tried. Errors: kInvalidArgument naming
/// what did not fit.
Result<void> VerifyJws(const Jws& jws, const std::vector<JwtAuthority>& authorities);

}  // namespace credence
