#include "agent/authority/web/federation_policy.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <google/protobuf/util/message_differencer.h>

#include "base/svid/x509_svid.h"

namespace credence {
namespace {

using spire::api::types::Bundle;
using spire::api::types::FederationRelationship;

Result<HttpUrl> ParseHttpsUrl(std::string_view text) {
  auto url = ParseHttpUrl(text);
  if (url.ok() && url->scheme != UrlScheme::kHttps) {
    return Error(Code::kInvalidArgument, "URL is not https");
  }
  return url;
}

/// nullopt for https_web.
Result<std::optional<SpiffeId>> ReadProfile(const FederationRelationship& relationship) {
  switch (relationship.bundle_endpoint_profile_case()) {
    case FederationRelationship::kHttpsWeb:
      return std::optional<SpiffeId>();
    case FederationRelationship::kHttpsSpiffe: {
      auto id = SpiffeId::Parse(relationship.https_spiffe().endpoint_spiffe_id());
      if (!id.ok()) {
        return std::move(id).error().Wrap("endpoint SPIFFE ID");
      }
      if (id->path().empty()) {
        return Error(Code::kInvalidArgument, "endpoint SPIFFE ID has no path");
      }
      return std::optional<SpiffeId>(*std::move(id));
    }
    case FederationRelationship::BUNDLE_ENDPOINT_PROFILE_NOT_SET:
      break;
  }
  return Error(Code::kInvalidArgument, "there is no profile: https_web or https_spiffe");
}

}  // namespace

Result<ForeignBundleEndpoint> ParseFederationRelationship(
    const FederationRelationship& relationship) {
  auto trust_domain = TrustDomain::Parse(relationship.trust_domain());
  if (!trust_domain.ok()) {
    return std::move(trust_domain).error().Wrap("federation relationship");
  }
  const std::string name = fmt::format("federation with {}", trust_domain->name());
  auto url = ParseHttpsUrl(relationship.bundle_endpoint_url());
  if (!url.ok()) {
    return std::move(url).error().Wrap(name + ": bundle endpoint");
  }
  auto endpoint_id = ReadProfile(relationship);
  if (!endpoint_id.ok()) {
    return std::move(endpoint_id).error().Wrap(name);
  }
  return ForeignBundleEndpoint{*std::move(trust_domain), *std::move(url), *std::move(endpoint_id)};
}

std::chrono::milliseconds PollInterval(const PollIntervals& intervals, const Bundle* held) {
  if (held == nullptr || held->refresh_hint() <= 0) {
    return intervals.standard;
  }
  // A hint may be anything that fits 64 bits.
  const auto longest = std::chrono::ceil<std::chrono::seconds>(intervals.longest).count();
  const std::chrono::milliseconds hint =
      std::chrono::seconds(std::min<std::int64_t>(held->refresh_hint(), longest));
  return std::clamp(hint, intervals.shortest, intervals.longest);
}

BundleVerdict JudgeBundle(const Bundle* held, const Bundle& fetched) {
  if (held == nullptr) {
    return BundleVerdict::kNewer;
  }
  if (google::protobuf::util::MessageDifferencer::Equals(*held, fetched)) {
    return BundleVerdict::kUnchanged;
  }
  const bool ordered = held->sequence_number() != 0 && fetched.sequence_number() != 0;
  return ordered && fetched.sequence_number() < held->sequence_number() ? BundleVerdict::kOlder
                                                                        : BundleVerdict::kNewer;
}

Result<HttpUrl> RedirectTarget(const HttpUrl& from, std::string_view location) {
  const bool is_path = location.starts_with('/') && !location.starts_with("//");
  auto url = ParseHttpsUrl(is_path ? from.Origin() + std::string(location) : std::string(location));
  if (!url.ok()) {
    return std::move(url).error().Wrap("redirect is not followed");
  }
  return url;
}

Result<void> VerifyBundleServer(const std::vector<std::string>& chain,
                                const SpiffeId& expected,
                                const Bundle& bundle,
                                WallTime now) {
  const auto svid = ParseX509SvidChain(chain);
  if (!svid.ok()) {
    return svid.error();
  }
  if (svid->id != expected) {
    return Error(Code::kUnauthenticated,
                 fmt::format("the server is {} and not {}", svid->id.text(), expected.text()));
  }
  std::vector<std::string> authorities;
  for (const auto& authority : bundle.x509_authorities()) {
    authorities.push_back(authority.asn1());
  }
  return VerifyX509Svid(*svid, authorities, now);
}

}  // namespace credence
