#pragma once

#include <memory>
#include <string>
#include <vector>

#include <grpcpp/server.h>

#include "credence/authority/v1/control.grpc.pb.h"
#include "spire/api/server/agent/v1/agent.grpc.pb.h"
#include "spire/api/server/bundle/v1/bundle.grpc.pb.h"
#include "spire/api/server/entry/v1/entry.grpc.pb.h"
#include "spire/api/server/trustdomain/v1/trustdomain.grpc.pb.h"

namespace credence {

/// Entries in memory. Look at the members between calls only. A filter is noted, not used.
class FakeEntryService final : public spire::api::server::entry::v1::Entry::Service {
 public:
  std::vector<spire::api::types::Entry> entries;
  spire::api::server::entry::v1::ListEntriesRequest listed;
  spire::api::server::entry::v1::CountEntriesRequest counted;
  /// How many items each batch had.
  std::vector<int> batches;
  /// The batch after so many fails with UNAVAILABLE.
  std::size_t batches_until_failure = 1000;

  grpc::Status CountEntries(grpc::ServerContext* context,
                            const spire::api::server::entry::v1::CountEntriesRequest* request,
                            spire::api::server::entry::v1::CountEntriesResponse* response) override;
  grpc::Status ListEntries(grpc::ServerContext* context,
                           const spire::api::server::entry::v1::ListEntriesRequest* request,
                           spire::api::server::entry::v1::ListEntriesResponse* response) override;
  grpc::Status GetEntry(grpc::ServerContext* context,
                        const spire::api::server::entry::v1::GetEntryRequest* request,
                        spire::api::types::Entry* response) override;
  grpc::Status BatchCreateEntry(
      grpc::ServerContext* context,
      const spire::api::server::entry::v1::BatchCreateEntryRequest* request,
      spire::api::server::entry::v1::BatchCreateEntryResponse* response) override;
  grpc::Status BatchUpdateEntry(
      grpc::ServerContext* context,
      const spire::api::server::entry::v1::BatchUpdateEntryRequest* request,
      spire::api::server::entry::v1::BatchUpdateEntryResponse* response) override;
  grpc::Status BatchDeleteEntry(
      grpc::ServerContext* context,
      const spire::api::server::entry::v1::BatchDeleteEntryRequest* request,
      spire::api::server::entry::v1::BatchDeleteEntryResponse* response) override;

 private:
  grpc::Status NoteBatch(int items);
};

/// One agent and its last requests.
class FakeAgentService final : public spire::api::server::agent::v1::Agent::Service {
 public:
  std::vector<spire::api::types::Agent> agents;
  spire::api::server::agent::v1::CreateJoinTokenRequest asked_token;
  spire::api::server::agent::v1::ListAgentsRequest listed;

  grpc::Status CreateJoinToken(grpc::ServerContext* context,
                               const spire::api::server::agent::v1::CreateJoinTokenRequest* request,
                               spire::api::types::JoinToken* response) override;
  grpc::Status ListAgents(grpc::ServerContext* context,
                          const spire::api::server::agent::v1::ListAgentsRequest* request,
                          spire::api::server::agent::v1::ListAgentsResponse* response) override;
  grpc::Status CountAgents(grpc::ServerContext* context,
                           const spire::api::server::agent::v1::CountAgentsRequest* request,
                           spire::api::server::agent::v1::CountAgentsResponse* response) override;
  grpc::Status GetAgent(grpc::ServerContext* context,
                        const spire::api::server::agent::v1::GetAgentRequest* request,
                        spire::api::types::Agent* response) override;
  grpc::Status DeleteAgent(grpc::ServerContext* context,
                           const spire::api::server::agent::v1::DeleteAgentRequest* request,
                           google::protobuf::Empty* response) override;
  grpc::Status BanAgent(grpc::ServerContext* context,
                        const spire::api::server::agent::v1::BanAgentRequest* request,
                        google::protobuf::Empty* response) override;

 private:
  spire::api::types::Agent* Find(const spire::api::types::SPIFFEID& id);
};

/// The own bundle and foreign ones.
class FakeBundleService final : public spire::api::server::bundle::v1::Bundle::Service {
 public:
  spire::api::types::Bundle own;
  std::vector<spire::api::types::Bundle> foreign;
  spire::api::server::bundle::v1::BatchDeleteFederatedBundleRequest deleted;

  grpc::Status GetBundle(grpc::ServerContext* context,
                         const spire::api::server::bundle::v1::GetBundleRequest* request,
                         spire::api::types::Bundle* response) override;
  grpc::Status GetFederatedBundle(
      grpc::ServerContext* context,
      const spire::api::server::bundle::v1::GetFederatedBundleRequest* request,
      spire::api::types::Bundle* response) override;
  grpc::Status ListFederatedBundles(
      grpc::ServerContext* context,
      const spire::api::server::bundle::v1::ListFederatedBundlesRequest* request,
      spire::api::server::bundle::v1::ListFederatedBundlesResponse* response) override;
  grpc::Status BatchSetFederatedBundle(
      grpc::ServerContext* context,
      const spire::api::server::bundle::v1::BatchSetFederatedBundleRequest* request,
      spire::api::server::bundle::v1::BatchSetFederatedBundleResponse* response) override;
  grpc::Status BatchDeleteFederatedBundle(
      grpc::ServerContext* context,
      const spire::api::server::bundle::v1::BatchDeleteFederatedBundleRequest* request,
      spire::api::server::bundle::v1::BatchDeleteFederatedBundleResponse* response) override;
};

/// Relationships in memory.
class FakeFederationService final
    : public spire::api::server::trustdomain::v1::TrustDomain::Service {
 public:
  std::vector<spire::api::types::FederationRelationship> relationships;
  /// Trust domains in the order of the calls.
  std::vector<std::string> refreshed;

  grpc::Status ListFederationRelationships(
      grpc::ServerContext* context,
      const spire::api::server::trustdomain::v1::ListFederationRelationshipsRequest* request,
      spire::api::server::trustdomain::v1::ListFederationRelationshipsResponse* response) override;
  grpc::Status GetFederationRelationship(
      grpc::ServerContext* context,
      const spire::api::server::trustdomain::v1::GetFederationRelationshipRequest* request,
      spire::api::types::FederationRelationship* response) override;
  grpc::Status BatchCreateFederationRelationship(
      grpc::ServerContext* context,
      const spire::api::server::trustdomain::v1::BatchCreateFederationRelationshipRequest* request,
      spire::api::server::trustdomain::v1::BatchCreateFederationRelationshipResponse* response)
      override;
  grpc::Status BatchUpdateFederationRelationship(
      grpc::ServerContext* context,
      const spire::api::server::trustdomain::v1::BatchUpdateFederationRelationshipRequest* request,
      spire::api::server::trustdomain::v1::BatchUpdateFederationRelationshipResponse* response)
      override;
  grpc::Status BatchDeleteFederationRelationship(
      grpc::ServerContext* context,
      const spire::api::server::trustdomain::v1::BatchDeleteFederationRelationshipRequest* request,
      spire::api::server::trustdomain::v1::BatchDeleteFederationRelationshipResponse* response)
      override;
  grpc::Status RefreshBundle(
      grpc::ServerContext* context,
      const spire::api::server::trustdomain::v1::RefreshBundleRequest* request,
      google::protobuf::Empty* response) override;

 private:
  spire::api::types::FederationRelationship* Find(const std::string& trust_domain);
};

/// What our own authority has beside the SPIRE server API.
class FakeControlService final : public authority::v1::Control::Service {
 public:
  authority::v1::GetStateResponse state;
  authority::v1::RotateKeyResponse rotated;
  authority::v1::ListFileEntriesResponse file_entries;
  std::vector<authority::v1::RotateKeyRequest> asked;
  /// So many calls are refused first.
  int busy = 0;
  /// The one of this kind is refused for good.
  authority::v1::SigningKeyRecord::Kind refused = authority::v1::SigningKeyRecord::KIND_UNSPECIFIED;

  grpc::Status GetState(grpc::ServerContext* context,
                        const authority::v1::GetStateRequest* request,
                        authority::v1::GetStateResponse* response) override;
  grpc::Status ListFileEntries(grpc::ServerContext* context,
                               const authority::v1::ListFileEntriesRequest* request,
                               authority::v1::ListFileEntriesResponse* response) override;
  /// Answers `rotated` with the kind that was asked for.
  grpc::Status RotateKey(grpc::ServerContext* context,
                         const authority::v1::RotateKeyRequest* request,
                         authority::v1::RotateKeyResponse* response) override;
};

/// Whether the fake is our authority or a spire-server.
enum class FakeAuthorityKind { kOurs, kSpire };

/// Serves the operator's part of the SPIRE server API on a socket in a folder of its own, from now
/// until it goes.
class FakeAuthority {
 public:
  explicit FakeAuthority(FakeAuthorityKind kind = FakeAuthorityKind::kOurs);
  ~FakeAuthority();
  FakeAuthority(const FakeAuthority&) = delete;
  FakeAuthority& operator=(const FakeAuthority&) = delete;

  const std::string& folder() const { return folder_; }
  std::string socket() const { return folder_ + "/api.sock"; }

  FakeEntryService entry;
  FakeAgentService agent;
  FakeBundleService bundle;
  FakeFederationService federation;
  FakeControlService control;

 private:
  std::string folder_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace credence
