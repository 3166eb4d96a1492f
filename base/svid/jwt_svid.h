#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/core/secret_bytes.h"
#include "base/spiffe/spiffe_id.h"
#include "base/svid/bundle.h"

namespace credence {

/// Longest token accepted from anyone, in bytes.
inline constexpr std::size_t kMaxJwtBytes = std::size_t{64} << 10;

/// A token this agent holds for a workload.
struct JwtSvid {
  SpiffeId id;
  std::vector<std::string> audience;
  WallTime issued_at;
  WallTime expires_at;
  std::string key_id;
  /// RS256 and so on.
  std::string algorithm;
  /// "" when absent.
  std::string issuer;
  /// "" when absent; then nothing but a fresh token for each exchange keeps it from being used
  /// twice.
  std::string jti;
  /// JWS compact serialization.
  SharedSecret token;
};

/// Decodes a token that came from our own server over an authenticated channel: every rule on form
/// and claims, no signature check. Errors: kInvalidArgument naming the rule. Source: JWT-SVID
/// sections 2 and 3.
Result<JwtSvid> ParseTrustedJwtSvid(std::string_view token);

/// What ValidateJWTSVID learns.
struct ValidatedJwt {
  SpiffeId id;
  /// All claims; "aud" is always an array.
  boost::json::object claims;
};

/// Full validation for one audience: algorithm before anything else, typ, kid, signature by a JWT
/// authority of the subject's own trust domain, aud, exp and nbf with `leeway`. A token without kid
/// is tried against the keys that fit its algorithm, at most 8 of them. Errors: kInvalidArgument
/// naming the rule; the token is never quoted. Source: JWT-SVID sections 3 to 5, RFC 7519
/// section 7.2.
Result<ValidatedJwt> ValidateJwtSvid(std::string_view token,
                                     std::string_view audience,
                                     const BundleSet& bundles,
                                     WallTime now,
                                     std::chrono::seconds leeway = std::chrono::seconds(60));

}  // namespace credence
