#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "agent/config/agent_config.h"

/// Texts of agent.conf for tests, and short ways to read them.
namespace credence {

/// The least a file can have, with room for more in the agent block.
inline std::string Minimal(const std::string& more = "", const std::string& top = "") {
  return "agent {\n trust_domain = \"example.org\"\n server_address = \"spire\"\n server_port = "
         "8081\n" +
         more +
         "\n}\nplugins {\n NodeAttestor \"join_token\" { plugin_data {} }\n"
         " KeyManager \"memory\" { plugin_data {} }\n WorkloadAttestor \"unix\" { plugin_data {} "
         "}\n}\n" +
         top;
}

inline AgentConfigOutcome ParseText(const std::string& text,
                                    const AgentConfigOverrides& flags = {}) {
  return ParseAgentConfig(text, "agent.conf", flags, false);
}

inline std::vector<std::string> MistakesOf(const std::string& text,
                                           const AgentConfigOverrides& flags = {}) {
  std::vector<std::string> lines;
  const AgentConfigOutcome outcome = ParseText(text, flags);
  EXPECT_EQ(outcome.config.has_value(), outcome.mistakes.empty());
  for (const ConfigMistake& mistake : outcome.mistakes) {
    lines.push_back(mistake.ToString());
  }
  return lines;
}

/// A file whose plugins are `plugins`.
inline std::string WithPlugins(const std::string& plugins) {
  return "agent { trust_domain = \"a\" server_address = \"s\" server_port = 1 }\nplugins {\n" +
         plugins + "\n}\n";
}

inline const std::string kNode = "NodeAttestor \"join_token\" {} ";
inline const std::string kKeys = "KeyManager \"memory\" {} ";
inline const std::string kUnix = "WorkloadAttestor \"unix\" {} ";

}  // namespace credence
