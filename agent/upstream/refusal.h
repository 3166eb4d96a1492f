#pragma once

#include <string_view>

namespace credence {

/// Why a SPIRE server no longer talks to this agent.
/// Source: spire.api.types.PermissionDeniedDetails.
enum class Refusal {
  kNone,
  kAgentExpired,
  kAgentNotAttested,
  kAgentNotActive,
  kAgentBanned,
  kAgentMustReattest,
};

/// "agent is banned" and so on; "none".
std::string_view RefusalText(Refusal refusal);

/// Reads the details of a PERMISSION_DENIED status (a serialized google.rpc.Status). kNone when
/// there are none, or none that this agent knows.
Refusal RefusalFromDetails(std::string_view details);

}  // namespace credence
