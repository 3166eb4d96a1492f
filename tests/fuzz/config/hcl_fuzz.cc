#include <cstddef>
#include <cstdint>
#include <string_view>

#include "agent/config/agent_config.h"
#include "base/core/check.h"

/// Any text gives either a configuration or mistakes that have a message.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
  const auto outcome = credence::ParseAgentConfig(text, "agent.conf", {}, false);
  CREDENCE_CHECK(outcome.config.has_value() == outcome.mistakes.empty());
  for (const credence::ConfigMistake& mistake : outcome.mistakes) {
    CREDENCE_CHECK(!mistake.message.empty());
    CREDENCE_CHECK(mistake.line >= 0);
  }
  return 0;
}
