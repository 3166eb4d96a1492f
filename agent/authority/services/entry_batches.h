#pragma once

#include <cstdint>
#include <memory>

#include "agent/authority/services/authority_state.h"
#include "base/spiffe/spiffe_id.h"

#include "spire/api/server/entry/v1/entry.pb.h"

/// Batches of changes to entries as plans: each item is judged for itself, and those that pass are
/// stored together. The answers are there once the plan has been made.
namespace credence {

template <class Request, class Response>
struct EntryBatch {
  Request request;
  Response response;
};
using CreateBatch = EntryBatch<spire::api::server::entry::v1::BatchCreateEntryRequest,
                               spire::api::server::entry::v1::BatchCreateEntryResponse>;
using UpdateBatch = EntryBatch<spire::api::server::entry::v1::BatchUpdateEntryRequest,
                               spire::api::server::entry::v1::BatchUpdateEntryResponse>;
using DeleteBatch = EntryBatch<spire::api::server::entry::v1::BatchDeleteEntryRequest,
                               spire::api::server::entry::v1::BatchDeleteEntryResponse>;

/// `now` in seconds since the Unix epoch.
AuthorityState::Planner PlanToCreate(std::shared_ptr<CreateBatch> batch,
                                     TrustDomain trust_domain,
                                     std::int64_t now);
AuthorityState::Planner PlanToUpdate(std::shared_ptr<UpdateBatch> batch, TrustDomain trust_domain);
AuthorityState::Planner PlanToDelete(std::shared_ptr<DeleteBatch> batch);

}  // namespace credence
