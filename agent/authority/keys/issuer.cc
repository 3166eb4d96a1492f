#include "agent/authority/keys/issuer.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "base/crypto/certificate.h"
#include "base/crypto/digest.h"
#include "base/svid/jwk.h"
#include "base/svid/strict_json.h"

namespace credence {
namespace {

namespace json = boost::json;
namespace types = spire::api::types;
using authority::v1::SigningKeyRecord;

constexpr std::size_t kMaxCommonName = 64;
constexpr std::size_t kMaxBundleBytes = std::size_t{4} << 20;
constexpr std::string_view kRefreshHint = "spiffe_refresh_hint";

Error Ended(std::string_view kind) {
  return Error(
      Code::kUnavailable,
      fmt::format("the authority's {} key has ended and is about to be replaced: try again", kind));
}

/// The JWK of a CA certificate, which has no "kid"; nullopt for a key we cannot encode.
std::optional<json::object> X509Jwk(const std::string& certificate) {
  const auto public_key = PublicKeyOf(certificate);
  auto jwk = public_key.ok() ? JwkOf("", *public_key) : std::nullopt;
  if (jwk.has_value()) {
    jwk->stable_erase("kid");
    (*jwk)["use"] = "x509-svid";
    (*jwk)["x5c"] = json::array{json::value(Base64Encode(certificate))};
  }
  return jwk;
}

/// The JWS algorithm of a public key as `jwk` describes it.
const char* AlgorithmOf(const json::object& jwk) {
  const json::string* curve = FindString(jwk, "crv");
  if (curve == nullptr) {
    return "RS256";
  }
  return *curve == "P-256" ? "ES256" : *curve == "P-384" ? "ES384" : "ES512";
}

/// 0 when the document has none. It is a hint: one that makes no sense must not keep new keys away.
std::int64_t RefreshHint(const json::object& document) {
  constexpr std::int64_t kMaxHint = std::int64_t{1} << 31;
  const json::value* value = document.if_contains(kRefreshHint);
  if (value != nullptr && value->is_uint64()) {
    return kMaxHint;  // more than an int64 holds
  }
  const std::int64_t* hint = value == nullptr ? nullptr : value->if_int64();
  return hint == nullptr ? 0 : std::clamp(*hint, std::int64_t{0}, kMaxHint);
}

}  // namespace

Result<SignedX509Svid> SignX509Svid(const SigningKeySet& keys,
                                    const X509SvidContent& content,
                                    WallTime now) {
  const SigningKey& active = keys.Active(SigningKeyRecord::X509);
  const WallTime end = FromUnixSeconds(active.record.not_after());
  if (end <= now) {
    return Ended("X509");
  }
  if (content.life <= std::chrono::seconds(0)) {
    return Error(Code::kInvalidArgument, "the life of an X509-SVID is not positive");
  }
  if (content.id.path().empty()) {
    return Error(Code::kInvalidArgument,
                 fmt::format("{} has no path, as the ID of an X509-SVID must", content.id.text()));
  }
  CertificateContent leaf;
  leaf.uri = content.id.text();
  leaf.dns_names = content.dns_names;
  if (!leaf.dns_names.empty() && leaf.dns_names.front().size() <= kMaxCommonName) {
    leaf.common_name = leaf.dns_names.front();
  }
  leaf.not_before = now - kBackdate;
  const auto left = std::chrono::ceil<std::chrono::seconds>(end - now);
  leaf.not_after = FromUnixSeconds(ToUnixSeconds(now + std::min(content.life, left)));
  auto issued = active.issuer.value().Issue(leaf, content.public_key);
  if (!issued.ok()) {
    return std::move(issued).error();
  }
  return SignedX509Svid{{std::move(issued->der)}, std::move(issued->serial), leaf.not_after};
}

Result<SignedJwtSvid> SignJwtSvid(const SigningKeySet& keys, const JwtSvidContent& content) {
  const SigningKey& active = keys.Active(SigningKeyRecord::JWT);
  const WallTime end = FromUnixSeconds(active.record.not_after());
  if (end <= content.issued_at) {
    return Ended("JWT");
  }
  JwtSvidContent cut = content;
  cut.expires_at = FromUnixSeconds(ToUnixSeconds(std::min(content.expires_at, end)));
  auto token = SignJwtSvid(cut, active.key, active.record.id());
  if (!token.ok()) {
    return std::move(token).error();
  }
  return SignedJwtSvid{*std::move(token), cut.expires_at};
}

types::Bundle BundleOf(const TrustDomain& trust_domain,
                       const SigningKeySet& keys,
                       std::uint64_t sequence,
                       std::chrono::seconds refresh_hint) {
  types::Bundle bundle;
  bundle.set_trust_domain(trust_domain.name());
  bundle.set_sequence_number(sequence);
  bundle.set_refresh_hint(refresh_hint.count());
  for (const SigningKey& key : keys.keys) {
    if (key.record.kind() == SigningKeyRecord::X509) {
      auto* authority = bundle.add_x509_authorities();
      authority->set_asn1(key.record.public_part());
      authority->set_tainted(key.record.tainted());
    } else {
      auto* authority = bundle.add_jwt_authorities();
      authority->set_public_key(key.record.public_part());
      authority->set_key_id(key.record.id());
      authority->set_expires_at(key.record.not_after());
      authority->set_tainted(key.record.tainted());
    }
  }
  return bundle;
}

std::string SpiffeBundleDocument(const types::Bundle& bundle) {
  json::array keys;
  for (const auto& authority : bundle.x509_authorities()) {
    if (auto jwk = X509Jwk(authority.asn1())) {
      keys.emplace_back(*std::move(jwk));
    }
  }
  for (const auto& authority : bundle.jwt_authorities()) {
    if (auto jwk = JwkOf(authority.key_id(), authority.public_key());
        jwk.has_value() && !authority.key_id().empty()) {
      (*jwk)["use"] = "jwt-svid";
      keys.emplace_back(*std::move(jwk));
    }
  }
  json::object document;
  document["keys"] = std::move(keys);
  document["spiffe_sequence"] = bundle.sequence_number();
  if (bundle.refresh_hint() > 0) {
    document[kRefreshHint] = bundle.refresh_hint();
  }
  return json::serialize(document);
}

std::string OidcKeySet(const types::Bundle& bundle) {
  json::array keys;
  for (const auto& authority : bundle.jwt_authorities()) {
    if (auto jwk = JwkOf(authority.key_id(), authority.public_key());
        jwk.has_value() && !authority.key_id().empty()) {
      (*jwk)["use"] = "sig";
      (*jwk)["alg"] = AlgorithmOf(*jwk);
      keys.emplace_back(*std::move(jwk));
    }
  }
  json::object set;
  set["keys"] = std::move(keys);
  return json::serialize(set);
}

Result<types::Bundle> ParseBundleDocument(const TrustDomain& trust_domain, std::string_view text) {
  const auto read = ParseSpiffeBundle(trust_domain, text);
  if (!read.ok()) {
    return read.error();
  }
  const auto document = ParseStrictJsonObject(text, kMaxBundleBytes);
  if (!document.ok()) {
    return document.error();
  }
  types::Bundle bundle;
  bundle.set_trust_domain(trust_domain.name());
  bundle.set_sequence_number(read->sequence);
  bundle.set_refresh_hint(RefreshHint(*document));
  for (const std::string& certificate : read->x509_authorities) {
    bundle.add_x509_authorities()->set_asn1(certificate);
  }
  for (const JwtAuthority& key : read->jwt_authorities) {
    auto* authority = bundle.add_jwt_authorities();
    authority->set_key_id(key.key_id);
    authority->set_public_key(key.public_key);
  }
  return bundle;
}

Result<TrustBundle> TrustBundleOf(const types::Bundle& bundle) {
  auto trust_domain = TrustDomain::Parse(bundle.trust_domain());
  if (!trust_domain.ok()) {
    return std::move(trust_domain).error();
  }
  TrustBundle translated{*std::move(trust_domain), {}, {}, bundle.sequence_number()};
  for (const auto& authority : bundle.x509_authorities()) {
    if (auto parsed = ParseCertificate(authority.asn1()); !parsed.ok()) {
      return std::move(parsed).error().Wrap(
          fmt::format("an X.509 authority of {}", bundle.trust_domain()));
    }
    translated.x509_authorities.push_back(authority.asn1());
  }
  for (const auto& authority : bundle.jwt_authorities()) {
    if (!authority.key_id().empty() && !authority.public_key().empty()) {
      translated.jwt_authorities.push_back(
          JwtAuthority{authority.key_id(), authority.public_key()});
    }
  }
  return translated;
}

}  // namespace credence
