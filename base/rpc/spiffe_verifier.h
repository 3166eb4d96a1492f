#pragma once

#include <string>
#include <vector>

#include "base/core/result.h"
#include "base/rpc/trust.h"
#include "base/spiffe/spiffe_id.h"

namespace credence {

/// Whether `chain` (DER, leaf first), which a server showed, is that of `expected`: the leaf keeps
/// the X509-SVID rules and has exactly one URI SAN, which is that ID byte for byte; and the chain
/// leads to one of the authorities, where there are any. Errors: kUnauthenticated saying what was
/// found instead. Source: SPIFFE X509-SVID sections 2, 4 and 5.
Result<void> CheckServerCertificate(const std::vector<std::string>& chain,
                                    const SpiffeId& expected,
                                    const RpcTrust& trust);

}  // namespace credence
