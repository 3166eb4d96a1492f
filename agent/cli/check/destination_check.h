#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "agent/cli/agent_client.h"
#include "agent/cli/check/finding.h"
#include "base/core/clock.h"

namespace credence {

struct DestinationCheckOptions {
  std::string destination;
  /// Which of the identities; "" for the one that the agent would use.
  std::string spiffe_id;
  /// Also get a credential, which the agent keeps as any.
  bool exchange = true;
  /// For each step on the network.
  std::chrono::milliseconds timeout{10'000};
};

/// Every precondition of a credential of this destination for this process, in the order in which
/// they are needed. What cannot be looked at because of an earlier one is skipped. Blocking.
std::vector<Finding> CheckDestination(const AgentClient& agent,
                                      const DestinationCheckOptions& options,
                                      const Clock& clock);

}  // namespace credence
