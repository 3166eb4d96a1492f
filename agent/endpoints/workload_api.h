#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/attestation/attestation.h"
#include "agent/endpoints/bundle_responses.h"
#include "agent/endpoints/x509_responses.h"
#include "agent/identity/identity_service.h"
#include "base/core/clock.h"
#include "base/h2/server.h"
#include "base/h2/server_call.h"
#include "base/svid/bundle.h"

namespace credence {

/// The SPIFFE Workload API: five methods of service SpiffeWorkloadAPI. Every call is attested anew;
/// a stream is attested when it opens, then follows the identities that its caller's selectors
/// earn. Source: SPIFFE Workload API and Workload Endpoint. Threads: core thread.
class WorkloadApi {
 public:
  struct Options {
    TrustDomain trust_domain;
    /// Callers without an identity get the bundles of the own trust domain.
    bool allow_unauthenticated_verifiers = false;
    /// Claims beside sub, aud and exp that ValidateJWTSVID shows of tokens from other trust
    /// domains.
    std::vector<std::string> allowed_foreign_jwt_claims;
    /// How long a new X509-SVID stream waits for the SVIDs of all its entries; then it begins with
    /// those that there are, or ends if there is none.
    std::chrono::milliseconds patience{10'000};
  };

  /// References outlive the server that the methods are registered with. `not_ready` says why there
  /// are no identities yet, for callers who come before the first sync.
  WorkloadApi(WorkloadAttestation& attestation,
              IdentityService& identities,
              const Clock& clock,
              Options options,
              std::function<std::string()> not_ready);

  void Register(h2::Server& server);

  /// The methods themselves; Register makes them answer on the wire.
  Task<h2::Status> FetchX509Svid(std::shared_ptr<h2::ServerCall> call);
  Task<h2::Status> FetchX509Bundles(std::shared_ptr<h2::ServerCall> call);
  Task<h2::Status> FetchJwtBundles(std::shared_ptr<h2::ServerCall> call);
  Task<h2::UnaryReply> FetchJwtSvid(std::shared_ptr<h2::ServerCall> call, std::string bytes);
  Task<h2::UnaryReply> ValidateJwt(std::shared_ptr<h2::ServerCall> call, std::string bytes);

 private:
  /// A caller's selectors and the entries they earn now.
  struct Identified {
    SelectorSet selectors;
    std::vector<SharedEntry> entries;
  };
  /// Builds what a stream sends for the entries its caller has now; null for "not yet".
  using Snapshot =
      std::function<Result<SharedSecret>(const std::vector<SharedEntry>&, X509Responses::Missing)>;
  enum class WithoutIdentity { kRefused, kServed };

  Task<Result<Identified>> Identify(std::shared_ptr<h2::ServerCall> call, Deadline deadline);
  Task<h2::Status> FollowChanges(std::shared_ptr<h2::ServerCall> call,
                                 Snapshot snapshot,
                                 WithoutIdentity mode);

  /// How a stream ends that has nothing to send now, after messages for `sent_for` if it `began`;
  /// nullopt: it waits.
  std::optional<h2::Status> EndWithoutMessage(bool began,
                                              const std::vector<SharedEntry>& sent_for,
                                              const std::vector<SharedEntry>& now) const;
  /// The own bundle and those that `entries` federate with.
  BundleSet VisibleBundles(const std::vector<SharedEntry>& entries) const;

  WorkloadAttestation& attestation_;
  IdentityService& identities_;
  const Clock& clock_;
  Options options_;
  std::function<std::string()> not_ready_;
  X509Responses x509_responses_;
  BundleResponses x509_bundles_;
  BundleResponses jwt_bundles_;
};

}  // namespace credence
