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

/// "agent banned" and so on; "none".
std::string_view RefusalText(Refusal refusal);

}  // namespace credence
