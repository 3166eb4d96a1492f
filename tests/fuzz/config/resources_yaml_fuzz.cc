#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "agent/config/entry_resources.h"
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

void CheckMessages(const std::vector<credence::ConfigMistake>& mistakes) {
  for (const credence::ConfigMistake& mistake : mistakes) {
    CREDENCE_CHECK(!mistake.message.empty());
  }
}

/// The same text as the trust authority reads it.
void ReadEntries(std::string_view text) {
  const auto outcome = credence::ParseEntryResources(text, "entries.yaml");
  CREDENCE_CHECK(outcome.entries.empty() || outcome.mistakes.empty());
  for (const credence::EntryResource& entry : outcome.entries) {
    CREDENCE_CHECK(!entry.name.empty() && !entry.selectors.items().empty());
    CREDENCE_CHECK(credence::SpiffeId::Parse(entry.spiffe_id.text()).ok());
    CREDENCE_CHECK(entry.parent_id.MemberOf(entry.spiffe_id.trust_domain()));
    CREDENCE_CHECK(entry.x509_svid_ttl.count() >= 0 && entry.jwt_svid_ttl.count() >= 0);
  }
  CheckMessages(outcome.mistakes);
}

}  // namespace

/// Any text gives either a set or mistakes that have a message.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
  const RefusingAdapter adapter;
  const auto outcome = credence::ParseResources(text, "kv.yaml", {&adapter});
  CREDENCE_CHECK((outcome.resources != nullptr) == outcome.mistakes.empty());
  CheckMessages(outcome.mistakes);
  ReadEntries(text);
  return 0;
}
