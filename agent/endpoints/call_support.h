#pragma once

#include "base/core/result.h"
#include "base/h2/message_codec.h"
#include "base/h2/server_call.h"

namespace credence {

using h2::ParseRequest;
using h2::Serialize;

/// The metadata that every call on the Workload API's socket carries exactly once, with the value
/// "true". It keeps a browser or proxy that was tricked into connecting from being answered.
/// Errors: kInvalidArgument. Source: SPIFFE Workload Endpoint section 5.
Result<void> CheckSecurityHeader(const h2::ServerCall& call);

/// What a workload is told when it could not be attested: UNAVAILABLE, since connecting again may
/// help. A process that has changed since it connected (it has dropped its privileges, say) is
/// asked to reconnect, which most clients do by themselves.
Error AttestationError(h2::ServerCall& call, const Error& error);

}  // namespace credence
