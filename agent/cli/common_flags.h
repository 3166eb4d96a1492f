#pragma once

#include <chrono>
#include <string>

#include "agent/cli/agent_client.h"
#include "agent/cli/output.h"

namespace CLI {
class App;
}  // namespace CLI

namespace credence {

/// Flags of every command that asks the running agent.
struct AgentFlags {
  std::string socket;
  int timeout_seconds = 10;

  /// Adds --socket and --timeout.
  void AddTo(CLI::App& command);
  /// Errors: kInvalidArgument for an unusable address.
  Result<AgentClient> Connect() const;
};

/// Adds --output human|json.
void AddOutputFlag(CLI::App& command,
                   OutputFormat& format,
                   const std::string& description = "Output form: human or json");

}  // namespace credence
