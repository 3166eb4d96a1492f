#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "agent/authority/services/authority_state.h"
#include "base/spiffe/spiffe_id.h"

#include "spire/api/server/bundle/v1/bundle.pb.h"

/// Batches of changes to foreign bundles as plans, as entry_batches.h has them for entries.
namespace credence {

struct SetBundlesBatch {
  spire::api::server::bundle::v1::BatchSetFederatedBundleRequest request;
  spire::api::server::bundle::v1::BatchSetFederatedBundleResponse response;
};
struct DeleteBundlesBatch {
  spire::api::server::bundle::v1::BatchDeleteFederatedBundleRequest request;
  spire::api::server::bundle::v1::BatchDeleteFederatedBundleResponse response;
};

/// Errors: kInvalidArgument naming the rule that a bundle for keeping breaks.
Result<void> CheckForeignBundle(const spire::api::types::Bundle& bundle, const TrustDomain& own);
/// How many registration entries federate with the trust domain `name`.
std::size_t CountFederatingWith(const EntrySet& entries, const std::string& name);

/// `now` in seconds since the Unix epoch.
AuthorityState::Planner PlanToSetBundles(std::shared_ptr<SetBundlesBatch> batch,
                                         TrustDomain own,
                                         std::int64_t now);
/// A relationship stays: its endpoint may give the bundle again.
AuthorityState::Planner PlanToDeleteBundles(std::shared_ptr<DeleteBundlesBatch> batch);

/// The fields of `mask`, all where it is null; the trust domain always.
spire::api::types::Bundle MaskedBundle(const spire::api::types::Bundle& bundle,
                                       const spire::api::types::BundleMask* mask);

}  // namespace credence
