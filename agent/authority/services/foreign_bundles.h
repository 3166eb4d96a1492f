#pragma once

#include <optional>

#include "agent/authority/services/authority_state.h"
#include "agent/authority/web/federation_client.h"
#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/spiffe/spiffe_id.h"

namespace credence {

/// Keeps the bundles of federated trust domains new: polls the bundle endpoint of each relationship
/// that the state has, and stores what is newer there. Threads: core thread.
class ForeignBundles {
 public:
  /// `state` and `clock` outlive it.
  ForeignBundles(asio::any_io_executor executor,
                 AuthorityState& state,
                 const Clock& clock,
                 FederationOptions options);

  /// Begins to poll.
  void Start();
  /// After the state has stopped. May be called twice.
  Task<void> Stop();

  /// Makes a change to relationships. From the moment it shows, what is polled is what it says,
  /// also when the caller is cancelled. Errors: as AuthorityState::Write.
  Task<Result<void>> Write(AuthorityState::Planner plan);

  /// Fetches the bundle now. Errors: kNotFound without a relationship; as FederationClient::Poll.
  Task<Result<void>> Refresh(TrustDomain trust_domain);

 private:
  std::optional<spire::api::types::Bundle> Find(const TrustDomain& trust_domain) const;
  Task<Result<void>> Store(ForeignBundleEndpoint endpoint, spire::api::types::Bundle bundle);

  AuthorityState& state_;
  const Clock& clock_;
  FederationClient client_;
};

}  // namespace credence
