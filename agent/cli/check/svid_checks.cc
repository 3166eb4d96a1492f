#include "agent/cli/check/svid_checks.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "agent/cli/check/network.h"
#include "base/http/url.h"
#include "base/svid/strict_json.h"

namespace credence {
namespace {

constexpr std::size_t kMaxDocumentBytes = std::size_t{256} << 10;
constexpr const char* kIssuer = "issuer";
constexpr const char* kSetIssuer =
    "set -jwtIssuer of `credence up` or `credence authority run`, or jwt_issuer of the SPIRE "
    "server, to the URL that the vendor has";

/// A JSON document, or what is to be said instead.
struct Fetched {
  std::optional<boost::json::object> document;
  Finding finding;
};

Fetched Fetch(const HttpUrl& url, const std::string& text, std::chrono::milliseconds timeout) {
  const HttpOutcome outcome = GetNow(url, "", kMaxDocumentBytes, timeout);
  if (!outcome.response.ok()) {
    return {
        std::nullopt,
        Skipped(kIssuer,
                fmt::format("{} cannot be read from here ({}); it matters only to a vendor that "
                            "fetches the keys",
                            text,
                            outcome.response.error().message()))};
  }
  constexpr int kHttpOk = 200;
  const std::string fix =
      "the vendor needs a working issuer unless it has the keys inline; see the "
      "server that serves " +
      url.Origin();
  if (outcome.response->status != kHttpOk) {
    return {std::nullopt,
            Failed(kIssuer,
                   fmt::format("{} answers with status {}", text, outcome.response->status),
                   fix)};
  }
  auto document = ParseStrictJsonObject(outcome.response->body.Reveal(), kMaxDocumentBytes);
  if (!document.ok()) {
    return {std::nullopt,
            Failed(kIssuer,
                   fmt::format("{} is no JSON object: {}", text, document.error().message()),
                   fix)};
  }
  return {*std::move(document), {}};
}

std::string TextAt(const boost::json::object& object, std::string_view key) {
  const auto* value = object.if_contains(boost::json::string_view(key.data(), key.size()));
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

bool HasKey(const boost::json::object& key_set, const std::string& key_id) {
  const auto* keys = key_set.if_contains("keys");
  if (keys == nullptr || !keys->is_array()) {
    return false;
  }
  const auto& array = keys->get_array();
  return std::any_of(array.begin(), array.end(), [&](const boost::json::value& key) {
    return key.is_object() && TextAt(key.get_object(), "kid") == key_id;
  });
}

Finding CheckKey(const JwtSvid& svid,
                 const boost::json::object& discovery,
                 std::chrono::milliseconds timeout) {
  const std::string address = TextAt(discovery, "jwks_uri");
  const auto url = ParseHttpUrl(address);
  if (!url.ok()) {
    return Failed(kIssuer,
                  fmt::format("jwks_uri \"{}\" of {} is no URL that can be asked: {}",
                              address,
                              svid.issuer,
                              url.error().message()),
                  "correct jwks_uri of the issuer's discovery document");
  }
  Fetched keys = Fetch(*url, address, timeout);
  if (!keys.document) {
    return std::move(keys.finding);
  }
  if (!HasKey(*keys.document, svid.key_id)) {
    return Failed(kIssuer,
                  fmt::format("{} does not have the key {} of the token", address, svid.key_id),
                  "let the issuer serve the JWT keys of this trust domain, as `credence jwks` "
                  "prints them");
  }
  return Passed(kIssuer,
                fmt::format("{}, whose discovery has the key {}", svid.issuer, svid.key_id));
}

}  // namespace

std::vector<Finding> CheckSvidForm(const JwtSvid& svid,
                                   const credential::v1::CheckDestinationResponse& needs) {
  std::vector<Finding> findings;
  const auto& taken = needs.svid_algorithms();
  const bool any =
      taken.empty() || std::find(taken.begin(), taken.end(), svid.algorithm) != taken.end();
  findings.push_back(
      any ? Passed("algorithm", svid.algorithm)
          : Failed(
                "algorithm",
                fmt::format(
                    "{}, while the destination takes {}", svid.algorithm, fmt::join(taken, ", ")),
                "give the authority JWT keys of another kind (jwt_key_type of a SPIRE server)"));
  const auto life =
      std::chrono::duration_cast<std::chrono::seconds>(svid.expires_at - svid.issued_at).count();
  const std::int64_t longest = needs.max_svid_lifetime_seconds();
  findings.push_back(
      life <= longest
          ? Passed("lifetime", fmt::format("{} s of at most {} s", life, longest))
          : Failed("lifetime",
                   fmt::format("{} s, while the destination takes at most {} s", life, longest),
                   "lower -jwtSVIDTTL of the workload's entry"));
  const std::size_t size = svid.token->size();
  if (size > needs.max_svid_bytes()) {
    findings.push_back(Failed(
        "size",
        fmt::format(
            "{} bytes, while the destination takes at most {}", size, needs.max_svid_bytes()),
        "shorten the SPIFFE ID, the issuer or the audience"));
  }
  return findings;
}

Finding CheckIssuer(const JwtSvid& svid, bool issuer_required, std::chrono::milliseconds timeout) {
  if (svid.issuer.empty()) {
    return issuer_required ? Failed(kIssuer,
                                    "the JWT-SVID has no issuer, which this destination needs",
                                    kSetIssuer)
                           : Skipped(kIssuer, "the JWT-SVID has none");
  }
  std::string base = svid.issuer;
  while (base.ends_with('/')) {
    base.pop_back();
  }
  const std::string address = base + "/.well-known/openid-configuration";
  const auto url = ParseHttpUrl(address);
  if (!url.ok()) {
    return Skipped(
        kIssuer,
        fmt::format("{} is no URL that can be asked: {}", svid.issuer, url.error().message()));
  }
  Fetched discovery = Fetch(*url, address, timeout);
  if (!discovery.document) {
    return std::move(discovery.finding);
  }
  const std::string served = TextAt(*discovery.document, "issuer");
  if (served != svid.issuer) {
    return Failed(
        kIssuer,
        fmt::format(
            "the JWT-SVID says {}, the discovery document there says \"{}\"", svid.issuer, served),
        kSetIssuer);
  }
  return CheckKey(svid, *discovery.document, timeout);
}

}  // namespace credence
