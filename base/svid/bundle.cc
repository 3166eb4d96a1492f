#include "base/svid/bundle.h"

#include <algorithm>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include "base/crypto/certificate.h"
#include "base/crypto/digest.h"
#include "base/svid/jwk.h"
#include "base/svid/strict_json.h"

namespace credence {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxBundleBytes = std::size_t{4} << 20;
constexpr std::size_t kMaxKeys = 4096;

Error Invalid(std::string_view rule) {
  return Error(Code::kInvalidArgument, "SPIFFE bundle: " + std::string(rule));
}

bool MemberIs(const json::object& jwk, std::string_view name, json::string_view wanted) {
  const json::string* text = FindString(jwk, name);
  return text != nullptr && *text == wanted;
}

template <class T>
void AddOnce(std::vector<T>& list, T value) {
  if (std::ranges::find(list, value) == list.end()) {
    list.push_back(std::move(value));
  }
}

/// Adds the certificate of an "x509-svid" entry: the first of its x5c, and no other.
Result<void> AddX509Authority(const json::object& jwk, TrustBundle& bundle) {
  const json::value* list = jwk.if_contains("x5c");
  if (list == nullptr || (list->is_array() && list->get_array().empty())) {
    return Ok();
  }
  if (!list->is_array() || !list->get_array().front().is_string()) {
    return Invalid("an x5c is not a list of strings");
  }
  const json::string& text = list->get_array().front().get_string();
  auto der = Base64Decode(std::string_view(text.data(), text.size()));
  if (!der.ok()) {
    return std::move(der).error().Wrap("SPIFFE bundle: an x5c");
  }
  if (auto parsed = ParseCertificate(*der); !parsed.ok()) {
    return std::move(parsed).error().Wrap("SPIFFE bundle: an x5c");
  }
  AddOnce(bundle.x509_authorities, *std::move(der));
  return Ok();
}

Result<void> AddJwtAuthority(const json::object& jwk, TrustBundle& bundle) {
  const json::string* key_id = FindString(jwk, "kid");
  if (key_id == nullptr || key_id->empty()) {
    return Ok();
  }
  auto public_key = PublicKeyOfJwk(jwk);
  if (!public_key.ok()) {
    return std::move(public_key).error().Wrap("SPIFFE bundle");
  }
  if (public_key->has_value()) {
    AddOnce(bundle.jwt_authorities,
            JwtAuthority{std::string(key_id->data(), key_id->size()), **std::move(public_key)});
  }
  return Ok();
}

/// Adds what one JWK holds. An entry without kty or use, or with one that is not known here, is
/// passed over.
Result<void> AddKey(const json::object& jwk, TrustBundle& bundle) {
  const bool known_type =
      MemberIs(jwk, "kty", "EC") || MemberIs(jwk, "kty", "RSA") || MemberIs(jwk, "kty", "OKP");
  if (!known_type) {
    return Ok();
  }
  if (MemberIs(jwk, "use", "x509-svid")) {
    return AddX509Authority(jwk, bundle);
  }
  if (MemberIs(jwk, "use", "jwt-svid")) {
    return AddJwtAuthority(jwk, bundle);
  }
  return Ok();
}

/// 0 when the document has none. Errors: kInvalidArgument unless it is a whole number of 64 bits,
/// not negative.
Result<std::uint64_t> Sequence(const json::object& document) {
  const json::value* value = document.if_contains("spiffe_sequence");
  if (value == nullptr) {
    return std::uint64_t{0};
  }
  if (const std::int64_t* number = value->if_int64(); number != nullptr && *number >= 0) {
    return static_cast<std::uint64_t>(*number);
  }
  if (const std::uint64_t* number = value->if_uint64()) {
    return *number;
  }
  return Invalid("spiffe_sequence is not a whole number from 0 to 2^64-1");
}

}  // namespace

std::string ConcatenatedX509Authorities(const TrustBundle& bundle) {
  std::string concatenated;
  for (const std::string& authority : bundle.x509_authorities) {
    concatenated += authority;
  }
  return concatenated;
}

std::string JwtAuthoritiesAsJwks(const TrustBundle& bundle) {
  json::array keys;
  for (const JwtAuthority& authority : bundle.jwt_authorities) {
    if (authority.key_id.empty()) {
      continue;
    }
    if (auto jwk = JwkOf(authority.key_id, authority.public_key)) {
      keys.emplace_back(*std::move(jwk));
    }
  }
  json::object set;
  set["keys"] = std::move(keys);
  return json::serialize(set);
}

Result<TrustBundle> ParseSpiffeBundle(TrustDomain trust_domain, std::string_view text) {
  const auto document = ParseStrictJsonObject(text, kMaxBundleBytes);
  if (!document.ok()) {
    return Error(document.error()).Wrap("SPIFFE bundle");
  }
  const json::value* keys = document->if_contains("keys");
  if (keys == nullptr || !keys->is_array()) {
    return Invalid("keys is missing or not a list");
  }
  if (keys->get_array().size() > kMaxKeys) {
    return Invalid(fmt::format("there are more than {} keys", kMaxKeys));
  }
  const auto sequence = Sequence(*document);
  if (!sequence.ok()) {
    return sequence.error();
  }
  TrustBundle bundle{std::move(trust_domain), {}, {}, *sequence};
  for (const json::value& jwk : keys->get_array()) {
    if (!jwk.is_object()) {
      return Invalid("a key is not an object");
    }
    if (auto added = AddKey(jwk.get_object(), bundle); !added.ok()) {
      return std::move(added).error();
    }
  }
  return bundle;
}

Result<TrustBundle> ParsePemBundle(TrustDomain trust_domain, std::string_view pem) {
  auto certificates = CertificatesFromPem(pem);
  if (!certificates.ok()) {
    return std::move(certificates).error().Wrap("PEM bundle");
  }
  TrustBundle bundle{std::move(trust_domain), {}, {}, 0};
  for (std::string& certificate : *certificates) {
    AddOnce(bundle.x509_authorities, std::move(certificate));
  }
  return bundle;
}

}  // namespace credence
