#pragma once

#include <string>

#include "agent/config/agent_config.h"

namespace CLI {
class App;
}  // namespace CLI

namespace credence {

/// The flags of SPIRE's `agent run`, by their own names, as far as they are served.
struct RunFlags {
  std::string config = "conf/agent/agent.conf";
  bool expand_environment = false;
  AgentConfigOverrides overrides;

  void AddTo(CLI::App& command);
};

}  // namespace credence
