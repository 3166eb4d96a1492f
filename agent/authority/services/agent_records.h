#pragma once

#include <string>
#include <string_view>

#include "agent/authority/state/datastore.h"
#include "base/core/result.h"
#include "base/spiffe/spiffe_id.h"

#include "credence/authority/v1/state.pb.h"

namespace credence {

/// "/spire.api.server.agent.v1.Agent/" and the method.
std::string AgentMethod(std::string_view method);

/// The SPIFFE ID of the agent that attests by `token`. Errors: kInvalidArgument, without the token.
Result<SpiffeId> AgentIdOfToken(const TrustDomain& trust_domain, const std::string& token);

Change PutAgent(const authority::v1::AgentRecord& record);

}  // namespace credence
