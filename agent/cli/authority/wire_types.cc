#include "agent/cli/authority/wire_types.h"

#include <utility>

#include <fmt/format.h>

#include "agent/config/decoder.h"
#include "base/spiffe/selector.h"
#include "base/spiffe/spiffe_id.h"

namespace credence {
namespace {

constexpr std::string_view kScheme = "spiffe://";

}  // namespace

Result<spire::api::types::SPIFFEID> WireId(std::string_view given_by, std::string_view text) {
  auto parsed = SpiffeId::Parse(text);
  if (!parsed.ok()) {
    return std::move(parsed).error().Wrap(given_by);
  }
  spire::api::types::SPIFFEID id;
  id.set_trust_domain(parsed->trust_domain().name());
  id.set_path(std::string(parsed->path()));
  return id;
}

Result<std::string> WireTrustDomain(std::string_view given_by, std::string_view text) {
  std::string_view name = text;
  if (name.starts_with(kScheme)) {
    name.remove_prefix(kScheme.size());
  }
  auto parsed = TrustDomain::Parse(name);
  if (!parsed.ok()) {
    return Error(Code::kInvalidArgument,
                 fmt::format("{}: {} is no trust domain, such as example.org or "
                             "spiffe://example.org: {}",
                             given_by,
                             Quoted(text),
                             parsed.error().message()));
  }
  return parsed->name();
}

Result<spire::api::types::Selector> WireSelector(std::string_view given_by, std::string_view text) {
  auto parsed = Selector::Parse(text);
  if (!parsed.ok()) {
    return std::move(parsed).error().Wrap(fmt::format("{} {}", given_by, Quoted(text)));
  }
  spire::api::types::Selector selector;
  selector.set_type(parsed->type);
  selector.set_value(parsed->value);
  return selector;
}

std::string TextOf(const spire::api::types::SPIFFEID& id) {
  return id.trust_domain().empty() ? ""
                                   : fmt::format("{}{}{}", kScheme, id.trust_domain(), id.path());
}

}  // namespace credence
