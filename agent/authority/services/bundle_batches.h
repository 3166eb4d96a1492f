#pragma once

#include <cstdint>
#include <memory>

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

/// `now` in seconds since the Unix epoch.
AuthorityState::Planner PlanToSetBundles(std::shared_ptr<SetBundlesBatch> batch,
                                         TrustDomain own,
                                         std::int64_t now);
AuthorityState::Planner PlanToDeleteBundles(std::shared_ptr<DeleteBundlesBatch> batch);

/// The fields of `mask`, all where it is null; the trust domain always.
spire::api::types::Bundle MaskedBundle(const spire::api::types::Bundle& bundle,
                                       const spire::api::types::BundleMask* mask);

}  // namespace credence
