#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/core/secret_bytes.h"
#include "base/spiffe/spiffe_id.h"
#include "base/svid/bundle.h"

namespace credence {

/// A DER certificate chain (leaf first, no root) that passed the X509-SVID rules.
struct X509SvidChain {
  SpiffeId id;
  /// DER, leaf first.
  std::vector<std::string> certificates;
  WallTime not_before;
  WallTime not_after;
};

/// Decodes and checks what a server issued: the leaf has exactly one URI SAN, a SPIFFE ID with a
/// path; cA false; key usage has digitalSignature and neither keyCertSign nor cRLSign; extended key
/// usage, if there is one, has serverAuth and clientAuth; each certificate parses. No path
/// validation (see VerifyX509Svid). Errors: kInvalidArgument naming the rule. Source: X509-SVID
/// sections 2 to 4.
Result<X509SvidChain> ParseX509SvidChain(std::vector<std::string> certificates);

/// An X509-SVID with its private key, ready to be served.
struct X509Svid {
  X509SvidChain chain;
  /// PKCS#8 DER, unencrypted.
  SharedSecret key;
};

/// Path validation of `chain` against the authorities (DER) of the ID's own trust domain at `now`.
/// Errors: kUnauthenticated with the reason.
/// Source: X509-SVID section 5, RFC 5280.
Result<void> VerifyX509Svid(const X509SvidChain& chain,
                            const std::vector<std::string>& authorities,
                            WallTime now);

/// Whether `chain` goes up to one of the bundle's tainted authorities: it is to be replaced, and
/// stays valid meanwhile.
bool SignedByTainted(const X509SvidChain& chain, const TrustBundle& bundle, WallTime now);

}  // namespace credence
