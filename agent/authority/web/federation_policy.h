#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/http/url.h"
#include "base/spiffe/spiffe_id.h"

#include "spire/api/types/types.pb.h"

/// What polling foreign bundle endpoints decides, without I/O. Source: SPIFFE Federation sections 4
/// to 6.
namespace credence {

/// Where the bundle of a foreign trust domain is fetched from. Made by ParseFederationRelationship.
struct ForeignBundleEndpoint {
  TrustDomain trust_domain;
  /// https.
  HttpUrl url;
  /// https_spiffe: exactly who serves it. nullopt: https_web.
  std::optional<SpiffeId> endpoint_id;

  bool operator==(const ForeignBundleEndpoint&) const = default;
};

/// Errors: kInvalidArgument naming the trust domain unless name, https URL and profile, and for
/// https_spiffe the endpoint's SPIFFE ID, are all there and well-formed. Nothing is guessed.
Result<ForeignBundleEndpoint> ParseFederationRelationship(
    const spire::api::types::FederationRelationship& relationship);

/// How often to poll.
struct PollIntervals {
  /// For a bundle without a refresh hint.
  std::chrono::milliseconds standard{std::chrono::minutes(5)};
  std::chrono::milliseconds shortest{std::chrono::seconds(30)};
  std::chrono::milliseconds longest{std::chrono::hours(24)};
};

/// From one poll to the next, be it after a success or a failure. `held` is the bundle that is
/// known now, or nullptr.
std::chrono::milliseconds PollInterval(const PollIntervals& intervals,
                                       const spire::api::types::Bundle* held);

enum class BundleVerdict {
  /// Takes the place of the held one.
  kNewer,
  /// The same as the held one.
  kUnchanged,
  /// An older version of it, not to be applied.
  kOlder,
};

/// Compares a fetched bundle with the one that is held, or nullptr. Sequence numbers order them;
/// where one has none (0), or both have the same, what was fetched last counts.
BundleVerdict JudgeBundle(const spire::api::types::Bundle* held,
                          const spire::api::types::Bundle& fetched);

/// Where a redirect from `from` leads: `location` is an https URL or an absolute path.
/// Errors: kInvalidArgument.
Result<HttpUrl> RedirectTarget(const HttpUrl& from, std::string_view location);

/// The check that https_spiffe puts in the place of that of names and roots: `chain` (DER, leaf
/// first) is a valid X509-SVID of `expected` by the X.509 authorities of `bundle`, the bundle of
/// that ID's trust domain. Errors: kUnauthenticated with the reason; kInvalidArgument for what is
/// no X509-SVID.
Result<void> VerifyBundleServer(const std::vector<std::string>& chain,
                                const SpiffeId& expected,
                                const spire::api::types::Bundle& bundle,
                                WallTime now);

}  // namespace credence
