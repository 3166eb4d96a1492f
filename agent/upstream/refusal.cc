#include "agent/upstream/refusal.h"

#include <string>

#include "google/rpc/status.pb.h"
#include "spire/api/types/types.pb.h"

namespace credence {
namespace {

using spire::api::types::PermissionDeniedDetails;

/// More than any real status has.
constexpr std::size_t kMaxDetailBytes = std::size_t{64} << 10;

Refusal FromReason(PermissionDeniedDetails::Reason reason) {
  switch (reason) {
    case PermissionDeniedDetails::AGENT_EXPIRED:
      return Refusal::kAgentExpired;
    case PermissionDeniedDetails::AGENT_NOT_ATTESTED:
      return Refusal::kAgentNotAttested;
    case PermissionDeniedDetails::AGENT_NOT_ACTIVE:
      return Refusal::kAgentNotActive;
    case PermissionDeniedDetails::AGENT_BANNED:
      return Refusal::kAgentBanned;
    case PermissionDeniedDetails::AGENT_MUST_REATTEST:
      return Refusal::kAgentMustReattest;
    default:
      // UNKNOWN, and whatever a newer server may say: proto3 enums are open.
      return Refusal::kNone;
  }
}

}  // namespace

std::string_view RefusalText(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNone:
      return "none";
    case Refusal::kAgentExpired:
      return "agent SVID has expired";
    case Refusal::kAgentNotAttested:
      return "agent is not attested";
    case Refusal::kAgentNotActive:
      return "agent SVID is not the active one";
    case Refusal::kAgentBanned:
      return "agent is banned";
    case Refusal::kAgentMustReattest:
      return "agent must attest again";
  }
  return "none";
}

Refusal RefusalFromDetails(std::string_view details) {
  google::rpc::Status status;
  if (details.size() > kMaxDetailBytes ||
      !status.ParseFromArray(details.data(), static_cast<int>(details.size()))) {
    return Refusal::kNone;
  }
  for (const auto& detail : status.details()) {
    PermissionDeniedDetails denied;
    if (detail.Is<PermissionDeniedDetails>() && detail.UnpackTo(&denied)) {
      return FromReason(denied.reason());
    }
  }
  return Refusal::kNone;
}

}  // namespace credence
