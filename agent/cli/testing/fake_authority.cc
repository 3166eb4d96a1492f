#include "agent/cli/testing/fake_authority.h"

#include <stdlib.h>

#include <algorithm>
#include <filesystem>

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include "base/core/check.h"

namespace credence {
namespace {

namespace entry_v1 = spire::api::server::entry::v1;
namespace agent_v1 = spire::api::server::agent::v1;
namespace bundle_v1 = spire::api::server::bundle::v1;
namespace trustdomain_v1 = spire::api::server::trustdomain::v1;
using grpc::ServerContext;
using grpc::Status;

Status NotFound(const std::string& message) {
  return {grpc::StatusCode::NOT_FOUND, message};
}

void SetStatus(spire::api::types::Status& status, grpc::StatusCode code, const char* message) {
  status.set_code(code);
  status.set_message(message);
}

/// The item of `items` for which `is_it` holds.
template <class Item, class IsIt>
Item* FindItem(std::vector<Item>& items, IsIt is_it) {
  const auto found = std::find_if(items.begin(), items.end(), is_it);
  return found == items.end() ? nullptr : &*found;
}

bool SameId(const spire::api::types::SPIFFEID& a, const spire::api::types::SPIFFEID& b) {
  return a.trust_domain() == b.trust_domain() && a.path() == b.path();
}

/// Hands out the page of `items` that starts at the number in `token`; returns the next token.
template <class Item, class Add>
std::string Page(const std::vector<Item>& items, const std::string& token, int size, Add add) {
  std::size_t at = token.empty() ? 0 : std::stoul(token);
  const std::size_t end =
      size == 0 ? items.size() : std::min(items.size(), at + static_cast<std::size_t>(size));
  for (; at < end; ++at) {
    add(items[at]);
  }
  return at < items.size() ? std::to_string(at) : "";
}

}  // namespace

Status FakeEntryService::NoteBatch(int items) {
  if (batches.size() == batches_until_failure) {
    return {grpc::StatusCode::UNAVAILABLE, "no more today"};
  }
  batches.push_back(items);
  return Status::OK;
}

Status FakeEntryService::CountEntries(ServerContext* /*context*/,
                                      const entry_v1::CountEntriesRequest* request,
                                      entry_v1::CountEntriesResponse* response) {
  counted = *request;
  response->set_count(static_cast<int>(entries.size()));
  return Status::OK;
}

Status FakeEntryService::ListEntries(ServerContext* /*context*/,
                                     const entry_v1::ListEntriesRequest* request,
                                     entry_v1::ListEntriesResponse* response) {
  listed = *request;
  response->set_next_page_token(
      Page(entries, request->page_token(), request->page_size(), [&](const auto& entry) {
        *response->add_entries() = entry;
      }));
  return Status::OK;
}

Status FakeEntryService::GetEntry(ServerContext* /*context*/,
                                  const entry_v1::GetEntryRequest* request,
                                  spire::api::types::Entry* response) {
  const auto* found = FindItem(entries, [&](const auto& e) { return e.id() == request->id(); });
  if (found == nullptr) {
    return NotFound("entry not found");
  }
  *response = *found;
  return Status::OK;
}

Status FakeEntryService::BatchCreateEntry(ServerContext* /*context*/,
                                          const entry_v1::BatchCreateEntryRequest* request,
                                          entry_v1::BatchCreateEntryResponse* response) {
  for (const auto& wanted : request->entries()) {
    auto& result = *response->add_results();
    if (FindItem(entries,
                 [&](const auto& e) { return SameId(e.spiffe_id(), wanted.spiffe_id()); })) {
      SetStatus(*result.mutable_status(),
                grpc::StatusCode::ALREADY_EXISTS,
                "similar entry already exists");
      continue;
    }
    entries.push_back(wanted);
    if (wanted.id().empty()) {
      entries.back().set_id("id-" + std::to_string(entries.size()));
    }
    result.mutable_status()->set_message("OK");
    *result.mutable_entry() = entries.back();
  }
  return NoteBatch(request->entries_size());
}

Status FakeEntryService::BatchUpdateEntry(ServerContext* /*context*/,
                                          const entry_v1::BatchUpdateEntryRequest* request,
                                          entry_v1::BatchUpdateEntryResponse* response) {
  for (const auto& wanted : request->entries()) {
    auto& result = *response->add_results();
    auto* found = FindItem(entries, [&](const auto& e) { return e.id() == wanted.id(); });
    if (found == nullptr) {
      SetStatus(*result.mutable_status(), grpc::StatusCode::NOT_FOUND, "failed to update entry");
      continue;
    }
    const auto revision = found->revision_number() + 1;
    *found = wanted;
    found->set_revision_number(revision);
    *result.mutable_entry() = *found;
  }
  return NoteBatch(request->entries_size());
}

Status FakeEntryService::BatchDeleteEntry(ServerContext* /*context*/,
                                          const entry_v1::BatchDeleteEntryRequest* request,
                                          entry_v1::BatchDeleteEntryResponse* response) {
  for (const std::string& id : request->ids()) {
    auto& result = *response->add_results();
    result.set_id(id);
    if (std::erase_if(entries, [&](const auto& e) { return e.id() == id; }) == 0) {
      SetStatus(*result.mutable_status(), grpc::StatusCode::NOT_FOUND, "entry not found");
    }
  }
  return NoteBatch(request->ids_size());
}

spire::api::types::Agent* FakeAgentService::Find(const spire::api::types::SPIFFEID& id) {
  return FindItem(agents, [&](const auto& agent) { return SameId(agent.id(), id); });
}

Status FakeAgentService::CreateJoinToken(ServerContext* /*context*/,
                                         const agent_v1::CreateJoinTokenRequest* request,
                                         spire::api::types::JoinToken* response) {
  asked_token = *request;
  response->set_value("a-token");
  response->set_expires_at(2000000000);
  return Status::OK;
}

Status FakeAgentService::ListAgents(ServerContext* /*context*/,
                                    const agent_v1::ListAgentsRequest* request,
                                    agent_v1::ListAgentsResponse* response) {
  listed = *request;
  response->set_next_page_token(
      Page(agents, request->page_token(), request->page_size(), [&](const auto& agent) {
        *response->add_agents() = agent;
      }));
  return Status::OK;
}

Status FakeAgentService::CountAgents(ServerContext* /*context*/,
                                     const agent_v1::CountAgentsRequest* /*request*/,
                                     agent_v1::CountAgentsResponse* response) {
  response->set_count(static_cast<int>(agents.size()));
  return Status::OK;
}

Status FakeAgentService::GetAgent(ServerContext* /*context*/,
                                  const agent_v1::GetAgentRequest* request,
                                  spire::api::types::Agent* response) {
  const auto* found = Find(request->id());
  if (found == nullptr) {
    return NotFound("agent not found");
  }
  *response = *found;
  return Status::OK;
}

Status FakeAgentService::DeleteAgent(ServerContext* /*context*/,
                                     const agent_v1::DeleteAgentRequest* request,
                                     google::protobuf::Empty* /*response*/) {
  return std::erase_if(agents, [&](const auto& a) { return SameId(a.id(), request->id()); }) == 0
             ? NotFound("agent not found")
             : Status::OK;
}

Status FakeAgentService::BanAgent(ServerContext* /*context*/,
                                  const agent_v1::BanAgentRequest* request,
                                  google::protobuf::Empty* /*response*/) {
  auto* found = Find(request->id());
  if (found == nullptr) {
    return NotFound("agent not found");
  }
  found->set_banned(true);
  return Status::OK;
}

Status FakeBundleService::GetBundle(ServerContext* /*context*/,
                                    const bundle_v1::GetBundleRequest* /*request*/,
                                    spire::api::types::Bundle* response) {
  *response = own;
  return Status::OK;
}

Status FakeBundleService::GetFederatedBundle(ServerContext* /*context*/,
                                             const bundle_v1::GetFederatedBundleRequest* request,
                                             spire::api::types::Bundle* response) {
  const auto* found =
      FindItem(foreign, [&](const auto& b) { return b.trust_domain() == request->trust_domain(); });
  if (found == nullptr) {
    return NotFound("bundle not found");
  }
  *response = *found;
  return Status::OK;
}

Status FakeBundleService::ListFederatedBundles(
    ServerContext* /*context*/,
    const bundle_v1::ListFederatedBundlesRequest* request,
    bundle_v1::ListFederatedBundlesResponse* response) {
  response->set_next_page_token(
      Page(foreign, request->page_token(), request->page_size(), [&](const auto& bundle) {
        *response->add_bundles() = bundle;
      }));
  return Status::OK;
}

Status FakeBundleService::BatchSetFederatedBundle(
    ServerContext* /*context*/,
    const bundle_v1::BatchSetFederatedBundleRequest* request,
    bundle_v1::BatchSetFederatedBundleResponse* response) {
  for (const auto& wanted : request->bundle()) {
    foreign.push_back(wanted);
    *response->add_results()->mutable_bundle() = wanted;
  }
  return Status::OK;
}

Status FakeBundleService::BatchDeleteFederatedBundle(
    ServerContext* /*context*/,
    const bundle_v1::BatchDeleteFederatedBundleRequest* request,
    bundle_v1::BatchDeleteFederatedBundleResponse* response) {
  deleted = *request;
  for (const std::string& name : request->trust_domains()) {
    auto& result = *response->add_results();
    result.set_trust_domain(name);
    if (std::erase_if(foreign, [&](const auto& b) { return b.trust_domain() == name; }) == 0) {
      SetStatus(*result.mutable_status(), grpc::StatusCode::NOT_FOUND, "bundle not found");
    }
  }
  return Status::OK;
}

spire::api::types::FederationRelationship* FakeFederationService::Find(
    const std::string& trust_domain) {
  return FindItem(relationships,
                  [&](const auto& one) { return one.trust_domain() == trust_domain; });
}

Status FakeFederationService::ListFederationRelationships(
    ServerContext* /*context*/,
    const trustdomain_v1::ListFederationRelationshipsRequest* request,
    trustdomain_v1::ListFederationRelationshipsResponse* response) {
  response->set_next_page_token(
      Page(relationships, request->page_token(), request->page_size(), [&](const auto& one) {
        *response->add_federation_relationships() = one;
      }));
  return Status::OK;
}

Status FakeFederationService::GetFederationRelationship(
    ServerContext* /*context*/,
    const trustdomain_v1::GetFederationRelationshipRequest* request,
    spire::api::types::FederationRelationship* response) {
  const auto* found = Find(request->trust_domain());
  if (found == nullptr) {
    return NotFound("not there");
  }
  *response = *found;
  return Status::OK;
}

Status FakeFederationService::BatchCreateFederationRelationship(
    ServerContext* /*context*/,
    const trustdomain_v1::BatchCreateFederationRelationshipRequest* request,
    trustdomain_v1::BatchCreateFederationRelationshipResponse* response) {
  for (const auto& wanted : request->federation_relationships()) {
    auto& result = *response->add_results();
    if (Find(wanted.trust_domain()) != nullptr) {
      SetStatus(*result.mutable_status(), grpc::StatusCode::ALREADY_EXISTS, "there already");
      continue;
    }
    relationships.push_back(wanted);
    *result.mutable_federation_relationship() = wanted;
    SetStatus(*result.mutable_status(), grpc::StatusCode::OK, "OK");
  }
  return Status::OK;
}

Status FakeFederationService::BatchUpdateFederationRelationship(
    ServerContext* /*context*/,
    const trustdomain_v1::BatchUpdateFederationRelationshipRequest* request,
    trustdomain_v1::BatchUpdateFederationRelationshipResponse* response) {
  for (const auto& wanted : request->federation_relationships()) {
    auto& result = *response->add_results();
    auto* found = Find(wanted.trust_domain());
    if (found == nullptr) {
      SetStatus(*result.mutable_status(), grpc::StatusCode::NOT_FOUND, "not there");
      continue;
    }
    *found = wanted;
    *result.mutable_federation_relationship() = wanted;
    SetStatus(*result.mutable_status(), grpc::StatusCode::OK, "OK");
  }
  return Status::OK;
}

Status FakeFederationService::BatchDeleteFederationRelationship(
    ServerContext* /*context*/,
    const trustdomain_v1::BatchDeleteFederationRelationshipRequest* request,
    trustdomain_v1::BatchDeleteFederationRelationshipResponse* response) {
  for (const std::string& name : request->trust_domains()) {
    auto& result = *response->add_results();
    result.set_trust_domain(name);
    if (std::erase_if(relationships, [&](const auto& one) { return one.trust_domain() == name; }) ==
        0) {
      SetStatus(*result.mutable_status(), grpc::StatusCode::NOT_FOUND, "not there");
    }
  }
  return Status::OK;
}

Status FakeFederationService::RefreshBundle(ServerContext* /*context*/,
                                            const trustdomain_v1::RefreshBundleRequest* request,
                                            google::protobuf::Empty* /*response*/) {
  if (Find(request->trust_domain()) == nullptr) {
    return NotFound("not there");
  }
  refreshed.push_back(request->trust_domain());
  return Status::OK;
}

Status FakeControlService::GetState(ServerContext* /*context*/,
                                    const authority::v1::GetStateRequest* /*request*/,
                                    authority::v1::GetStateResponse* response) {
  *response = state;
  return Status::OK;
}

Status FakeControlService::ListFileEntries(ServerContext* /*context*/,
                                           const authority::v1::ListFileEntriesRequest* /*request*/,
                                           authority::v1::ListFileEntriesResponse* response) {
  *response = file_entries;
  return Status::OK;
}

Status FakeControlService::RotateKey(ServerContext* /*context*/,
                                     const authority::v1::RotateKeyRequest* request,
                                     authority::v1::RotateKeyResponse* response) {
  asked.push_back(*request);
  if (busy > 0) {
    --busy;
    return {grpc::StatusCode::ABORTED, "signing keys are being rotated; try again"};
  }
  if (request->kind() == refused) {
    return {grpc::StatusCode::RESOURCE_EXHAUSTED, "the disk is full"};
  }
  *response = rotated;
  response->mutable_key()->set_kind(request->kind());
  return Status::OK;
}

FakeAuthority::FakeAuthority(FakeAuthorityKind kind) {
  folder_ = testing::TempDir() + "fake_authority.XXXXXX";
  CREDENCE_CHECK(mkdtemp(folder_.data()) != nullptr);
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + socket(), grpc::InsecureServerCredentials());
  builder.RegisterService(&entry);
  builder.RegisterService(&agent);
  builder.RegisterService(&bundle);
  builder.RegisterService(&federation);
  if (kind == FakeAuthorityKind::kOurs) {
    builder.RegisterService(&control);
  }
  server_ = builder.BuildAndStart();
  CREDENCE_CHECK(server_ != nullptr);
}

FakeAuthority::~FakeAuthority() {
  server_->Shutdown();
  std::filesystem::remove_all(folder_);
}

}  // namespace credence
