#include "agent/authority/services/entry_rules.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include <fmt/format.h>

#include "base/spiffe/selector.h"

namespace credence {
namespace {

using spire::api::types::Entry;
using spire::api::types::EntryMask;

constexpr std::size_t kMaxIdBytes = 255;
constexpr std::size_t kMaxHintBytes = 1024;
constexpr std::size_t kMaxDnsNameBytes = 253;
constexpr std::size_t kMaxDnsLabelBytes = 63;
/// Selectors, DNS names and trust domains of one entry, each.
constexpr int kMaxItems = 256;
constexpr std::size_t kMaxSelectorBytes = 4096;

Error Bad(std::string_view field, std::string_view rule) {
  return Error(Code::kInvalidArgument, fmt::format("{}: {}", field, rule));
}

bool IsIdByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

Result<void> CheckId(const std::string& id) {
  if (id.size() > kMaxIdBytes || !std::all_of(id.begin(), id.end(), IsIdByte)) {
    return Bad("id", "at most 255 letters, digits and -_.");
  }
  return Ok();
}

bool UnderSpire(std::string_view path) {
  return path == "/spire" || path.starts_with("/spire/");
}

Result<void> CheckIds(const Entry& entry, const TrustDomain& trust_domain) {
  const auto id = SpiffeId::FromParts(entry.spiffe_id().trust_domain(), entry.spiffe_id().path());
  if (!id.ok()) {
    return Error(id.error()).Wrap("spiffe_id");
  }
  if (!id->MemberOf(trust_domain)) {
    return Bad("spiffe_id", fmt::format("is not of trust domain {}", trust_domain.name()));
  }
  if (id->path().empty() || UnderSpire(id->path())) {
    return Bad("spiffe_id", "needs a path, and none under /spire");
  }
  const auto parent =
      SpiffeId::FromParts(entry.parent_id().trust_domain(), entry.parent_id().path());
  if (!parent.ok()) {
    return Error(parent.error()).Wrap("parent_id");
  }
  if (!parent->MemberOf(trust_domain) || parent->path().empty()) {
    return Bad("parent_id",
               fmt::format("needs a path in trust domain {}: that of an agent, of a node alias, or "
                           "/spire/server",
                           trust_domain.name()));
  }
  if (*parent == *id) {
    return Bad("parent_id", "is the entry's own SPIFFE ID");
  }
  return Ok();
}

Result<void> CheckSelectors(const Entry& entry) {
  if (entry.selectors().empty() || entry.selectors_size() > kMaxItems) {
    return Bad("selectors", fmt::format("1 to {}", kMaxItems));
  }
  for (const auto& selector : entry.selectors()) {
    const auto parsed = credence::Selector::FromParts(selector.type(), selector.value());
    if (!parsed.ok()) {
      return Error(parsed.error()).Wrap("selectors");
    }
    if (selector.type().size() + selector.value().size() > kMaxSelectorBytes) {
      return Bad("selectors", fmt::format("at most {} bytes each", kMaxSelectorBytes));
    }
  }
  return Ok();
}

/// RFC 1123 labels; the first may be "*".
bool IsDnsName(std::string_view name) {
  if (name.empty() || name.size() > kMaxDnsNameBytes) {
    return false;
  }
  bool first = true;
  while (true) {
    const std::size_t dot = name.find('.');
    const std::string_view label = name.substr(0, dot);
    const bool wildcard = first && label == "*" && dot != std::string_view::npos;
    const bool plain =
        !label.empty() && label.size() <= kMaxDnsLabelBytes && label.front() != '-' &&
        label.back() != '-' &&
        std::all_of(label.begin(), label.end(), [](char c) { return IsIdByte(c) && c != '.'; });
    if (!wildcard && !plain) {
      return false;
    }
    if (dot == std::string_view::npos) {
      return true;
    }
    name.remove_prefix(dot + 1);
    first = false;
  }
}

Result<void> CheckDnsNames(const Entry& entry) {
  if (entry.dns_names_size() > kMaxItems) {
    return Bad("dns_names", fmt::format("at most {}", kMaxItems));
  }
  for (const std::string& name : entry.dns_names()) {
    if (!IsDnsName(name)) {
      return Bad("dns_names", fmt::format("\"{:.64}\" is no DNS name", name));
    }
  }
  return Ok();
}

Result<void> CheckFederation(const Entry& entry,
                             const TrustDomain& trust_domain,
                             const std::function<bool(std::string_view)>& knows_bundle_of) {
  if (entry.federates_with_size() > kMaxItems) {
    return Bad("federates_with", fmt::format("at most {}", kMaxItems));
  }
  for (const std::string& name : entry.federates_with()) {
    const auto domain = TrustDomain::Parse(name);
    if (!domain.ok()) {
      return Error(domain.error()).Wrap("federates_with");
    }
    if (*domain == trust_domain) {
      return Bad("federates_with", fmt::format("{} is the own trust domain", name));
    }
    if (!knows_bundle_of(name)) {
      return Bad(
          "federates_with",
          fmt::format("the bundle of {} is not known: `credence bundle set` it first", name));
    }
  }
  return Ok();
}

}  // namespace

Result<void> CheckEntry(const Entry& entry,
                        const TrustDomain& trust_domain,
                        const std::function<bool(std::string_view)>& knows_bundle_of) {
  if (auto good = CheckId(entry.id()); !good.ok()) {
    return good;
  }
  if (auto good = CheckIds(entry, trust_domain); !good.ok()) {
    return good;
  }
  if (auto good = CheckSelectors(entry); !good.ok()) {
    return good;
  }
  if (entry.x509_svid_ttl() < 0 || entry.jwt_svid_ttl() < 0 || entry.expires_at() < 0) {
    return Bad("x509_svid_ttl, jwt_svid_ttl, expires_at", "not negative");
  }
  if (entry.hint().size() > kMaxHintBytes) {
    return Bad("hint", fmt::format("at most {} bytes", kMaxHintBytes));
  }
  if (entry.store_svid() &&
      std::any_of(entry.selectors().begin(), entry.selectors().end(), [&](const auto& one) {
        return one.type() != entry.selectors(0).type();
      })) {
    return Bad("selectors", "of one type only, when the SVID goes to a store");
  }
  if (auto good = CheckDnsNames(entry); !good.ok()) {
    return good;
  }
  return CheckFederation(entry, trust_domain, knows_bundle_of);
}

void CopyFields(const EntryMask& mask, const Entry& from, Entry& to) {
  if (mask.spiffe_id()) {
    *to.mutable_spiffe_id() = from.spiffe_id();
  }
  if (mask.parent_id()) {
    *to.mutable_parent_id() = from.parent_id();
  }
  if (mask.selectors()) {
    *to.mutable_selectors() = from.selectors();
  }
  if (mask.x509_svid_ttl()) {
    to.set_x509_svid_ttl(from.x509_svid_ttl());
  }
  if (mask.federates_with()) {
    *to.mutable_federates_with() = from.federates_with();
  }
  if (mask.admin()) {
    to.set_admin(from.admin());
  }
  if (mask.downstream()) {
    to.set_downstream(from.downstream());
  }
  if (mask.expires_at()) {
    to.set_expires_at(from.expires_at());
  }
  if (mask.dns_names()) {
    *to.mutable_dns_names() = from.dns_names();
  }
  if (mask.revision_number()) {
    to.set_revision_number(from.revision_number());
  }
  if (mask.store_svid()) {
    to.set_store_svid(from.store_svid());
  }
  if (mask.jwt_svid_ttl()) {
    to.set_jwt_svid_ttl(from.jwt_svid_ttl());
  }
  if (mask.hint()) {
    to.set_hint(from.hint());
  }
  if (mask.created_at()) {
    to.set_created_at(from.created_at());
  }
  if (mask.additional_attributes()) {
    if (from.has_additional_attributes()) {
      *to.mutable_additional_attributes() = from.additional_attributes();
    } else {
      to.clear_additional_attributes();
    }
  }
}

Entry Masked(const Entry& entry, const EntryMask* mask) {
  if (mask == nullptr) {
    return entry;
  }
  Entry masked;
  masked.set_id(entry.id());
  CopyFields(*mask, entry, masked);
  return masked;
}

}  // namespace credence
