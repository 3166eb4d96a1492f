#pragma once

#include "agent/config/agent_config.h"
#include "base/core/result.h"
#include "base/rpc/channel.h"
#include "base/spiffe/spiffe_id.h"

namespace credence {

/// What to trust the server by on first contact. Reads the bundle file, if that is the source;
/// blocks. Errors: kFailedPrecondition when no source is configured; those of reading and parsing
/// the file, naming it.
Result<RpcTrust> BootstrapTrust(const BootstrapSource& source, const TrustDomain& trust_domain);

}  // namespace credence
