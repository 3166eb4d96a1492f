#pragma once

#include "base/core/result.h"

#include "credence/authority/v1/state.pb.h"
#include "spire/api/server/agent/v1/agent.pb.h"
#include "spire/api/types/types.pb.h"

namespace credence {

/// An agent as the API shows it, with the fields of `mask`, or all where it is null.
spire::api::types::Agent AgentFromRecord(const authority::v1::AgentRecord& record,
                                         const spire::api::types::AgentMask* mask);

/// Whether an agent passes; `Filter` is ListAgentsRequest's or CountAgentsRequest's.
bool PassesFilter(const authority::v1::AgentRecord& record,
                  const spire::api::server::agent::v1::ListAgentsRequest::Filter& filter);

/// The one filter as the other; both have the same fields.
spire::api::server::agent::v1::ListAgentsRequest::Filter ListFilter(
    const spire::api::server::agent::v1::CountAgentsRequest::Filter& filter);

}  // namespace credence
