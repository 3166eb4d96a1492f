#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/process/caller.h"

namespace credence {

/// How the agent is doing. Times are the epoch when there has been none.
struct AgentStatus {
  std::string version;
  std::string trust_domain;
  /// "" until the node is attested.
  std::string agent_id;
  WallTime agent_svid_expires_at;
  std::string server_address;
  WallTime last_sync_at;
  std::string sync_error;
  WallTime started_at;
  std::size_t entries = 0;
  std::size_t x509_svids = 0;
  std::size_t jwt_svids = 0;
  std::size_t destinations = 0;
  std::size_t grants = 0;
  std::vector<std::string> resource_errors;
  std::string audit_error;
  /// What a caller can prove on this kernel.
  Assurance assurance = Assurance::kOpenedByPid;
  std::size_t connections = 0;
  std::size_t calls = 0;
  std::vector<std::string> warnings;
};

}  // namespace credence
