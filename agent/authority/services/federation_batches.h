#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/authority/services/authority_state.h"
#include "agent/authority/web/federation_policy.h"
#include "base/core/result.h"
#include "base/spiffe/spiffe_id.h"

#include "spire/api/server/trustdomain/v1/trustdomain.pb.h"

/// Batches of changes to federation relationships as plans, as entry_batches.h has them for
/// entries. A record of a foreign trust domain is a relationship once it has a bundle endpoint.
namespace credence {

template <class Request, class Response>
struct RelationshipBatch {
  Request request;
  Response response;
};
using CreateRelationshipsBatch = RelationshipBatch<
    spire::api::server::trustdomain::v1::BatchCreateFederationRelationshipRequest,
    spire::api::server::trustdomain::v1::BatchCreateFederationRelationshipResponse>;
using UpdateRelationshipsBatch = RelationshipBatch<
    spire::api::server::trustdomain::v1::BatchUpdateFederationRelationshipRequest,
    spire::api::server::trustdomain::v1::BatchUpdateFederationRelationshipResponse>;
using DeleteRelationshipsBatch = RelationshipBatch<
    spire::api::server::trustdomain::v1::BatchDeleteFederationRelationshipRequest,
    spire::api::server::trustdomain::v1::BatchDeleteFederationRelationshipResponse>;

/// A bundle that comes along takes the place of the held one; without one the held one stays.
/// `now` in seconds since the Unix epoch.
AuthorityState::Planner PlanToCreateRelationships(std::shared_ptr<CreateRelationshipsBatch> batch,
                                                  TrustDomain own,
                                                  std::int64_t now);
AuthorityState::Planner PlanToUpdateRelationships(std::shared_ptr<UpdateRelationshipsBatch> batch,
                                                  TrustDomain own,
                                                  std::int64_t now);
/// The bundle goes too, so a relationship does not end while registration entries federate with the
/// trust domain, not even one whose bundle has not come yet.
AuthorityState::Planner PlanToDeleteRelationships(std::shared_ptr<DeleteRelationshipsBatch> batch);

/// Keeps what `endpoint` gave, unless a newer bundle is held by now. Errors: kAborted when the
/// relationship has ended or has another endpoint meanwhile.
AuthorityState::Planner PlanToKeepBundle(ForeignBundleEndpoint endpoint,
                                         spire::api::types::Bundle bundle,
                                         std::int64_t now);

/// nullptr if there is no relationship with it.
const spire::api::types::FederationRelationship* FindRelationship(const AuthorityTables& tables,
                                                                  std::string_view name);
/// Where the bundles of all relationships come from.
std::vector<ForeignBundleEndpoint> ForeignBundleEndpoints(const AuthorityTables& tables);

/// A bare name or, as spire-server's commands send it, spiffe://name. Errors: kInvalidArgument.
Result<TrustDomain> ParseTrustDomainName(std::string_view text);

/// The fields of `mask`, all where it is null; the trust domain always.
spire::api::types::FederationRelationship MaskedRelationship(
    const spire::api::types::FederationRelationship& relationship,
    const spire::api::types::FederationRelationshipMask* mask);

}  // namespace credence
