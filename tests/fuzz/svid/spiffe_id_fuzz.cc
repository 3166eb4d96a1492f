#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/core/check.h"
#include "base/spiffe/selector.h"
#include "base/spiffe/spiffe_id.h"

namespace credence {
namespace {

void CheckId(std::string_view text) {
  const auto id = SpiffeId::Parse(text);
  if (!id.ok()) {
    CREDENCE_CHECK(id.error().message().size() < 400);
    return;
  }
  CREDENCE_CHECK(id->text() == text && text.size() <= SpiffeId::kMaxBytes);
  CREDENCE_CHECK(text.find_first_of("?#%@") == std::string_view::npos);
  const auto again = SpiffeId::FromParts(id->trust_domain().name(), id->path());
  CREDENCE_CHECK(again.ok() && *again == *id);
  CREDENCE_CHECK(TrustDomain::Parse(id->trust_domain().name()).ok());
}

}  // namespace
}  // namespace credence

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
  credence::CheckId(text);
  if (const auto domain = credence::TrustDomain::Parse(text); domain.ok()) {
    CREDENCE_CHECK(domain->name() == text && text.find('/') == std::string_view::npos);
  }
  if (const auto selector = credence::Selector::Parse(text); selector.ok()) {
    CREDENCE_CHECK(selector->ToString() == text);
  }
  return 0;
}
