#include "agent/authority/web/oidc_issuer.h"

#include <array>
#include <memory>
#include <set>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "agent/authority/keys/issuer.h"
#include "base/http/url.h"
#include "base/svid/jwk.h"

namespace credence {
namespace {

namespace json = boost::json;

/// How long a destination may keep the set: a key that is rotated in signs a minute after it is
/// published.
constexpr std::chrono::seconds kKeysMaxAge{60};
constexpr std::chrono::seconds kDiscoveryMaxAge{300};

/// What a JWK's "kty" or "crv" signs with here, in the order in which it is shown.
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kAlgorithms = {{
    {"RSA", "RS256"},
    {"P-256", "ES256"},
    {"P-384", "ES384"},
    {"P-521", "ES512"},
}};

Error BadIssuer(std::string_view url, std::string_view why) {
  return Error(Code::kInvalidArgument, fmt::format("OIDC issuer \"{}\" {}", url, why));
}

std::set<std::string, std::less<>> KeyKinds(const spire::api::types::Bundle& bundle) {
  std::set<std::string, std::less<>> kinds;
  for (const auto& key : bundle.jwt_authorities()) {
    const auto jwk = JwkOf(key.key_id(), key.public_key());
    if (!jwk.has_value()) {
      continue;
    }
    const json::value* curve = jwk->if_contains("crv");
    const json::string& kind = (curve != nullptr ? *curve : jwk->at("kty")).get_string();
    kinds.emplace(kind.data(), kind.size());
  }
  return kinds;
}

HttpHandler Serve(BundleSource source, BundleDocument::Writer write, std::chrono::seconds max_age) {
  const auto document = std::make_shared<BundleDocument>(std::move(source), std::move(write));
  return [document, max_age]() -> Result<HttpDocument> {
    return HttpDocument{"application/json", document->Current(), max_age};
  };
}

}  // namespace

Result<OidcIssuer> OidcIssuer::Parse(std::string_view url) {
  const auto parsed = ParseHttpUrl(url);
  if (!parsed.ok()) {
    return BadIssuer(url, fmt::format("is not usable: {}", parsed.error().message()));
  }
  if (url.find('?') != std::string_view::npos) {
    return BadIssuer(url, "has a query");
  }
  if (url.ends_with('/')) {
    return BadIssuer(url, "ends with a slash");
  }
  return OidcIssuer(std::string(url), parsed->target == "/" ? "" : parsed->target);
}

std::string OidcDiscoveryDocument(const OidcIssuer& issuer,
                                  const spire::api::types::Bundle& bundle) {
  json::array algorithms;
  const auto kinds = KeyKinds(bundle);
  for (const auto& [kind, algorithm] : kAlgorithms) {
    if (kinds.contains(kind)) {
      algorithms.emplace_back(json::string_view(algorithm.data(), algorithm.size()));
    }
  }
  json::object document;
  document["issuer"] = issuer.url();
  document["jwks_uri"] = issuer.KeysUrl();
  document["authorization_endpoint"] = "";
  document["response_types_supported"] = json::array{"id_token"};
  document["subject_types_supported"] = json::array{"public"};
  document["id_token_signing_alg_values_supported"] = std::move(algorithms);
  return json::serialize(document);
}

Result<void> ServeOidcIssuer(HttpServer& server, const OidcIssuer& issuer, BundleSource source) {
  auto discovery = [issuer](const spire::api::types::Bundle& bundle) {
    return OidcDiscoveryDocument(issuer, bundle);
  };
  auto served =
      server.Handle(issuer.DiscoveryPath(), Serve(source, std::move(discovery), kDiscoveryMaxAge));
  if (!served.ok()) {
    return served;
  }
  return server.Handle(issuer.KeysPath(), Serve(std::move(source), &OidcKeySet, kKeysMaxAge));
}

}  // namespace credence
