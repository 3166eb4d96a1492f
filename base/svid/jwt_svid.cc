#include "base/svid/jwt_svid.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include "base/svid/jws.h"
#include "base/svid/strict_json.h"

namespace credence {
namespace {

namespace json = boost::json;

/// The claims that have rules; `all` holds every claim with "aud" made an array.
struct Claims {
  SpiffeId id;
  std::vector<std::string> audience;
  WallTime expires_at;
  std::optional<WallTime> not_before;
  std::optional<WallTime> issued_at;
  json::object all;
};

Error Invalid(std::string_view rule) {
  return Error(Code::kInvalidArgument, std::string(rule));
}

/// Seconds since the epoch, whole or with a fraction, from 0 to 2^53; nullopt for anything else.
/// Source: RFC 7519 section 2, NumericDate.
std::optional<WallTime> NumericDate(const json::value& value) {
  constexpr std::int64_t kMaxSeconds = std::int64_t{1} << 53;
  if (const std::int64_t* whole = value.if_int64()) {
    if (*whole < 0 || *whole > kMaxSeconds) {
      return std::nullopt;
    }
    return FromUnixSeconds(*whole);
  }
  const double* seconds = value.if_double();
  if (seconds == nullptr || !(*seconds >= 0 && *seconds <= static_cast<double>(kMaxSeconds))) {
    return std::nullopt;
  }
  const double whole = std::floor(*seconds);
  const auto millis = static_cast<std::int64_t>((*seconds - whole) * 1000);
  return FromUnixSeconds(static_cast<std::int64_t>(whole)) + std::chrono::milliseconds(millis);
}

/// nullopt when there is no such claim. Errors: kInvalidArgument when it is no date.
Result<std::optional<WallTime>> DateClaim(const json::object& claims, std::string_view name) {
  const json::value* value = claims.if_contains(json::string_view(name.data(), name.size()));
  if (value == nullptr) {
    return std::optional<WallTime>();
  }
  const auto date = NumericDate(*value);
  if (!date.has_value()) {
    return Invalid(fmt::format("the token's {} is not a number of seconds since 1970", name));
  }
  return date;
}

Result<std::vector<std::string>> AudienceClaim(const json::object& claims) {
  const json::value* value = claims.if_contains("aud");
  std::vector<std::string> audience;
  if (value != nullptr && value->is_string()) {
    audience.emplace_back(value->get_string().data(), value->get_string().size());
  } else if (value != nullptr && value->is_array()) {
    for (const json::value& item : value->get_array()) {
      if (!item.is_string()) {
        return Invalid("the token's aud holds something other than strings");
      }
      audience.emplace_back(item.get_string().data(), item.get_string().size());
    }
  }
  if (audience.empty()) {
    return Invalid("the token has no aud");
  }
  return audience;
}

Result<SpiffeId> SubjectClaim(const json::object& claims) {
  const json::string* subject = FindString(claims, "sub");
  if (subject == nullptr) {
    return Invalid("the token has no sub");
  }
  auto id = SpiffeId::Parse(std::string_view(subject->data(), subject->size()));
  if (!id.ok()) {
    return std::move(id).error().Wrap("the token's sub");
  }
  return id;
}

void MakeAudienceArray(json::object& claims, const std::vector<std::string>& audience) {
  json::array list;
  for (const std::string& value : audience) {
    list.emplace_back(json::string_view(value));
  }
  claims["aud"] = std::move(list);
}

Result<Claims> ParseClaims(std::string_view payload) {
  auto all = ParseStrictJsonObject(payload, kMaxJwtBytes);
  if (!all.ok()) {
    return std::move(all).error().Wrap("the token's claims");
  }
  auto id = SubjectClaim(*all);
  if (!id.ok()) {
    return std::move(id).error();
  }
  auto audience = AudienceClaim(*all);
  if (!audience.ok()) {
    return std::move(audience).error();
  }
  const auto expires_at = DateClaim(*all, "exp");
  if (!expires_at.ok()) {
    return expires_at.error();
  }
  if (!expires_at->has_value()) {
    return Invalid("the token has no exp");
  }
  const auto not_before = DateClaim(*all, "nbf");
  if (!not_before.ok()) {
    return not_before.error();
  }
  const auto issued_at = DateClaim(*all, "iat");
  if (!issued_at.ok()) {
    return issued_at.error();
  }
  MakeAudienceArray(*all, *audience);
  return Claims{
      *std::move(id), *std::move(audience), **expires_at, *not_before, *issued_at, *std::move(all)};
}

/// "" when there is none. Errors: kInvalidArgument when it is no string.
Result<std::string> TextClaim(const json::object& claims, std::string_view name) {
  if (!claims.contains(json::string_view(name.data(), name.size()))) {
    return std::string();
  }
  const json::string* text = FindString(claims, name);
  if (text == nullptr) {
    return Invalid(fmt::format("the token's {} is not a string", name));
  }
  return std::string(text->data(), text->size());
}

/// The authorities of exactly this trust domain; nullptr when we have no bundle of it.
const TrustBundle* FindBundle(const BundleSet& bundles, const TrustDomain& domain) {
  const auto found = bundles.find(domain.name());
  if (found == bundles.end() || found->second == nullptr || found->second->trust_domain != domain) {
    return nullptr;
  }
  return found->second.get();
}

Result<void> CheckTimes(const Claims& claims, WallTime now, std::chrono::seconds leeway) {
  if (now >= claims.expires_at + leeway) {
    return Invalid("the token has expired");
  }
  if (claims.not_before.has_value() && now + leeway < *claims.not_before) {
    return Invalid("the token is not valid yet");
  }
  return Ok();
}

}  // namespace

Result<JwtSvid> ParseTrustedJwtSvid(std::string_view token) {
  auto jws = ParseJws(token);
  if (!jws.ok()) {
    return std::move(jws).error();
  }
  auto claims = ParseClaims(jws->payload);
  if (!claims.ok()) {
    return std::move(claims).error();
  }
  auto issuer = TextClaim(claims->all, "iss");
  if (!issuer.ok()) {
    return std::move(issuer).error();
  }
  auto jti = TextClaim(claims->all, "jti");
  if (!jti.ok()) {
    return std::move(jti).error();
  }
  return JwtSvid{std::move(claims->id),
                 std::move(claims->audience),
                 claims->issued_at.value_or(WallTime{}),
                 claims->expires_at,
                 std::move(jws->key_id).value_or(""),
                 std::string(jws->algorithm->name),
                 *std::move(issuer),
                 *std::move(jti),
                 std::make_shared<const SecretBytes>(SecretBytes::CopyOf(token))};
}

Result<ValidatedJwt> ValidateJwtSvid(std::string_view token,
                                     std::string_view audience,
                                     const BundleSet& bundles,
                                     WallTime now,
                                     std::chrono::seconds leeway) {
  const auto jws = ParseJws(token);
  if (!jws.ok()) {
    return jws.error();
  }
  auto claims = ParseClaims(jws->payload);
  if (!claims.ok()) {
    return std::move(claims).error();
  }
  const TrustBundle* bundle = FindBundle(bundles, claims->id.trust_domain());
  if (bundle == nullptr || bundle->jwt_authorities.empty()) {
    return Invalid(fmt::format("no JWT authority of trust domain {} is known",
                               claims->id.trust_domain().name()));
  }
  if (auto verified = VerifyJws(*jws, bundle->jwt_authorities); !verified.ok()) {
    return std::move(verified).error();
  }
  if (audience.empty() || std::ranges::find(claims->audience, audience) == claims->audience.end()) {
    return Invalid("the token is not meant for this audience");
  }
  if (auto valid = CheckTimes(*claims, now, leeway); !valid.ok()) {
    return std::move(valid).error();
  }
  return ValidatedJwt{std::move(claims->id), std::move(claims->all)};
}

}  // namespace credence
