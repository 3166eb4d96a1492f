#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "agent/config/resources.h"
#include "base/core/check.h"

namespace {

/// Takes no settings whatever they are, so that what it says is attributed to them.
class RefusingAdapter final : public credence::DestinationAdapter {
 public:
  std::string_view name() const override { return "openbao"; }
  credence::Result<std::unique_ptr<credence::Destination>> Configure(
      const credence::Settings& settings) const override {
    std::string mistakes;
    for (const auto& [key, value] : settings) {
      mistakes += key + ": refused\n";
    }
    return credence::Error(credence::Code::kInvalidArgument, mistakes + "\nrefused");
  }
};

}  // namespace

/// Any text gives either a set or mistakes that have a message.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
  const RefusingAdapter adapter;
  const auto outcome = credence::ParseResources(text, "kv.yaml", {&adapter});
  CREDENCE_CHECK((outcome.resources != nullptr) == outcome.mistakes.empty());
  for (const credence::ConfigMistake& mistake : outcome.mistakes) {
    CREDENCE_CHECK(!mistake.message.empty());
  }
  return 0;
}
