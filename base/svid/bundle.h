#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "base/spiffe/spiffe_id.h"

namespace credence {

/// A key that signs JWT-SVIDs.
struct JwtAuthority {
  /// The "kid"; never empty.
  std::string key_id;
  /// DER SubjectPublicKeyInfo.
  std::string public_key;
  /// Known to others than its owner, perhaps: what it signed is to be replaced.
  bool tainted = false;

  bool operator==(const JwtAuthority&) const = default;
};

/// The authorities of one trust domain. Immutable once published (std::shared_ptr<const
/// TrustBundle>).
struct TrustBundle {
  TrustDomain trust_domain;
  /// DER CA certificates.
  std::vector<std::string> x509_authorities;
  std::vector<JwtAuthority> jwt_authorities;
  std::uint64_t sequence = 0;
  /// Those of `x509_authorities` that are tainted. They stay trusted until the server removes them.
  std::vector<std::string> tainted_x509_authorities{};

  bool operator==(const TrustBundle&) const = default;
};

using SharedBundle = std::shared_ptr<const TrustBundle>;
/// By trust domain name.
using BundleSet = std::map<std::string, SharedBundle, std::less<>>;

/// DER certificates one after the other, as the Workload API sends them.
std::string ConcatenatedX509Authorities(const TrustBundle& bundle);

/// The JWT authorities as an RFC 7517 JWK Set without "use" and without SPIFFE members, as SPIRE's
/// agent serves it. Keys without a kid or of a type we cannot encode are left out. Source: RFC 7518
/// section 6.
std::string JwtAuthoritiesAsJwks(const TrustBundle& bundle);

/// Reads a SPIFFE bundle document. Entries that the standard tells readers to skip are skipped
/// (unknown kty or use, empty x5c, no kid on a JWT key); "keys" missing or no array is an error.
/// Errors: kInvalidArgument. Source: SPIFFE Trust Domain and Bundle section 4, X509-SVID 6,
/// JWT-SVID 6.
Result<TrustBundle> ParseSpiffeBundle(TrustDomain trust_domain, std::string_view text);

/// Reads concatenated PEM CERTIFICATE blocks; any other block is an error, as is none at all.
Result<TrustBundle> ParsePemBundle(TrustDomain trust_domain, std::string_view pem);

}  // namespace credence
