#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/config/agent_config.h"
#include "base/core/result.h"

namespace credence {

/// The daemon: wires every part and runs until SIGTERM or SIGINT.
///
/// Start order: log, audit log, policy, plugins, socket (callers are told UNAVAILABLE until the
/// node is attested), node attestation, identities. The socket comes before attestation so that a
/// second agent is refused at once and so that `credence status` can say what the first one waits
/// for. Signals: SIGTERM and SIGINT stop it within two seconds; SIGHUP reads the resources again;
/// SIGUSR2 opens the log and the audit log again.
class Agent {
 public:
  /// What the process is going to exit with after this outcome of Run().
  using ExitCodeOf = int (*)(const Result<void>& outcome);

  /// `warnings` are what could not be had before, such as locked memory; they show in the log and
  /// in status. `exit_code` is asked when the end begins: work that cannot be stopped within two
  /// seconds is left behind and the process ends inside Run().
  Agent(AgentConfig config, std::vector<std::string> warnings, ExitCodeOf exit_code);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  /// Blocks until the agent has stopped. Once per process. Success means that it was asked to.
  /// Errors: kAlreadyExists when another agent serves the socket; kPermissionDenied when the server
  /// refuses this node;
  ///   those of opening files.
  Result<void> Run();

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace credence
