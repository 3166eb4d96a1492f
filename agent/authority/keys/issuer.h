#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/authority/keys/signing_keys.h"
#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/spiffe/spiffe_id.h"
#include "base/svid/bundle.h"
#include "base/svid/jwt_issuing.h"

#include "spire/api/types/types.pb.h"

namespace credence {

/// An X509-SVID to sign.
struct X509SvidContent {
  /// With a path.
  SpiffeId id;
  /// DER SubjectPublicKeyInfo.
  std::string public_key;
  /// The first one is the common name too, unless it is longer than the 64 bytes that fit there.
  std::vector<std::string> dns_names;
  /// Positive; cut to what is left of the CA.
  std::chrono::seconds life;
};

struct SignedX509Svid {
  /// DER, leaf first; no root.
  std::vector<std::string> certificates;
  /// Decimal.
  std::string serial;
  WallTime not_after;
};

/// Signs with the active X509 key; not before is 10 s ago. Blocks for about 100 us. Threads: any.
/// Errors: kInvalidArgument for a public key that IssueCertificate refuses, an ID without path, or
/// a life that is not positive; kUnavailable when the active key has ended and is not replaced yet;
/// kInternal.
Result<SignedX509Svid> SignX509Svid(const SigningKeySet& keys,
                                    const X509SvidContent& content,
                                    WallTime now);

struct SignedJwtSvid {
  SecretBytes token;
  /// Not later than asked for, nor than the key's own end.
  WallTime expires_at;
};

/// Signs with the active JWT key. Errors: as base/svid's SignJwtSvid; kUnavailable as SignX509Svid,
/// at `content.issued_at`.
Result<SignedJwtSvid> SignJwtSvid(const SigningKeySet& keys, const JwtSvidContent& content);

/// The bundle of the trust domain: every key of `keys`, PREPARED and OLD ones too, with their
/// taints.
spire::api::types::Bundle BundleOf(const TrustDomain& trust_domain,
                                   const SigningKeySet& keys,
                                   std::uint64_t sequence,
                                   std::chrono::seconds refresh_hint);

/// A bundle as a SPIFFE bundle document (JWKS with spiffe_sequence, and spiffe_refresh_hint unless
/// it is 0), and its JWT keys alone as a JWK Set for OIDC ("use" is "sig", "alg" set). Keys we
/// cannot encode are left out. Source: SPIFFE Trust Domain and Bundle section 4; OpenID Connect
/// Discovery.
std::string SpiffeBundleDocument(const spire::api::types::Bundle& bundle);
std::string OidcKeySet(const spire::api::types::Bundle& bundle);

/// The other way; a spiffe_refresh_hint that makes no sense is 0, one above 2^31 that. Errors:
/// kInvalidArgument, as ParseSpiffeBundle.
Result<spire::api::types::Bundle> ParseBundleDocument(const TrustDomain& trust_domain,
                                                      std::string_view text);

/// As our own readers want it. JWT keys without ID or key are left out. Errors: kInvalidArgument
/// for a bad trust domain or an X.509 authority that is no certificate.
Result<TrustBundle> TrustBundleOf(const spire::api::types::Bundle& bundle);

}  // namespace credence
