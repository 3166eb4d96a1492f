#include "agent/upstream/translate.h"

#include <utility>

#include <fmt/format.h>

#include "base/crypto/certificate.h"

namespace credence {
namespace {

namespace types = spire::api::types;

/// SPIRE's own limit.
constexpr std::size_t kMaxHintBytes = 1024;

Error Foreign(std::string_view what, const Error& error) {
  return Error(Code::kInternal, fmt::format("the server sent {}: {}", what, error.message()));
}

Result<SelectorSet> SelectorsOf(const types::Entry& entry) {
  std::vector<Selector> selectors;
  for (const auto& item : entry.selectors()) {
    auto selector = Selector::FromParts(item.type(), item.value());
    if (!selector.ok()) {
      return std::move(selector).error();
    }
    selectors.push_back(*std::move(selector));
  }
  if (selectors.empty()) {
    return Error(Code::kInvalidArgument, "no selectors");
  }
  return SelectorSet(std::move(selectors));
}

Result<std::vector<TrustDomain>> FederationOf(const types::Entry& entry) {
  std::vector<TrustDomain> domains;
  for (const auto& name : entry.federates_with()) {
    auto domain = TrustDomain::Parse(name);
    if (!domain.ok()) {
      return std::move(domain).error().Wrap("federates_with");
    }
    domains.push_back(*std::move(domain));
  }
  return domains;
}

}  // namespace

Result<RegistrationEntry> EntryFromServer(const types::Entry& entry) {
  if (entry.id().empty()) {
    return Error(Code::kInvalidArgument, "an entry without ID");
  }
  auto id = SpiffeId::FromParts(entry.spiffe_id().trust_domain(), entry.spiffe_id().path());
  if (!id.ok()) {
    return std::move(id).error();
  }
  auto selectors = SelectorsOf(entry);
  if (!selectors.ok()) {
    return std::move(selectors).error();
  }
  auto federates_with = FederationOf(entry);
  if (!federates_with.ok()) {
    return std::move(federates_with).error();
  }
  if (entry.hint().size() > kMaxHintBytes) {
    return Error(Code::kInvalidArgument, fmt::format("hint has {} bytes", entry.hint().size()));
  }
  return RegistrationEntry{
      .id = entry.id(),
      .spiffe_id = *std::move(id),
      .selectors = *std::move(selectors),
      .federates_with = *std::move(federates_with),
      .hint = entry.hint(),
      .created_at = entry.created_at(),
      .revision = entry.revision_number(),
      .admin = entry.admin(),
      .downstream = entry.downstream(),
      .store_svid = entry.store_svid(),
      .no_x509_prefetch = entry.additional_attributes().disable_x509_svid_prefetch(),
      .jwt_svid_has_jti = entry.additional_attributes().jwt_svid_include_jti()};
}

Result<TrustBundle> BundleFromServer(const types::Bundle& bundle, const TrustDomain& expected) {
  if (bundle.trust_domain() != expected.name()) {
    return Error(Code::kInternal,
                 fmt::format("the server sent another bundle than that of {}", expected.name()));
  }
  TrustBundle translated{expected, {}, {}, bundle.sequence_number()};
  for (const auto& authority : bundle.x509_authorities()) {
    if (auto parsed = ParseCertificate(authority.asn1()); !parsed.ok()) {
      return Foreign("an X.509 authority", parsed.error());
    }
    translated.x509_authorities.push_back(authority.asn1());
    if (authority.tainted()) {
      translated.tainted_x509_authorities.push_back(authority.asn1());
    }
  }
  for (const auto& authority : bundle.jwt_authorities()) {
    if (!authority.key_id().empty() && !authority.public_key().empty()) {
      translated.jwt_authorities.push_back(
          JwtAuthority{authority.key_id(), authority.public_key(), authority.tainted()});
    }
  }
  return translated;
}

Result<X509SvidChain> X509SvidFromServer(const types::X509SVID& svid) {
  auto chain = ParseX509SvidChain({svid.cert_chain().begin(), svid.cert_chain().end()});
  if (!chain.ok()) {
    return Foreign("an X509-SVID", chain.error());
  }
  return chain;
}

Result<JwtSvid> JwtSvidFromServer(const types::JWTSVID& svid) {
  auto parsed = ParseTrustedJwtSvid(svid.token());
  if (!parsed.ok()) {
    return Foreign("a JWT-SVID", parsed.error());
  }
  return parsed;
}

}  // namespace credence
