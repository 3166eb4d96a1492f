#pragma once

#include <string>
#include <vector>

#include "base/core/result.h"
#include "base/spiffe/registration_entry.h"
#include "base/spiffe/spiffe_id.h"
#include "base/svid/bundle.h"
#include "base/svid/jwt_svid.h"
#include "base/svid/x509_svid.h"

#include "spire/api/types/types.pb.h"

/// The server's messages as domain types. Everything is checked: the server is trusted to decide,
/// not to be free of mistakes.
namespace credence {

/// Errors: kInvalidArgument naming the rule that the entry breaks: no ID, a bad SPIFFE ID, no
/// selectors or a bad one, a
///   bad trust domain to federate with.
Result<RegistrationEntry> EntryFromServer(const spire::api::types::Entry& entry);

/// Errors: kInternal for another trust domain than `expected`, or X.509 authorities that are no
/// certificates. JWT
///   authorities without key ID or key are left out.
Result<TrustBundle> BundleFromServer(const spire::api::types::Bundle& bundle,
                                     const TrustDomain& expected);

/// Errors: kInternal for a chain that breaks the X509-SVID rules.
Result<X509SvidChain> X509SvidFromServer(const spire::api::types::X509SVID& svid);

/// Errors: kInternal for a token that breaks the JWT-SVID rules.
Result<JwtSvid> JwtSvidFromServer(const spire::api::types::JWTSVID& svid);

}  // namespace credence
