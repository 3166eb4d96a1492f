#pragma once

#include <chrono>
#include <vector>

#include "agent/cli/check/finding.h"
#include "base/svid/jwt_svid.h"

#include "credence/credential/v1/credential.pb.h"

namespace credence {

/// Algorithm, lifetime and size of `svid` against what the destination takes. No I/O.
std::vector<Finding> CheckSvidForm(const JwtSvid& svid,
                                   const credential::v1::CheckDestinationResponse& needs);

/// Whether the issuer in `svid` is one whose discovery document, if it can be read from here, says
/// the same and has the key of the token. Blocking, at most three times `timeout`.
/// Source: OpenID Connect Discovery 1.0, sections 3 and 4.
Finding CheckIssuer(const JwtSvid& svid, bool issuer_required, std::chrono::milliseconds timeout);

}  // namespace credence
