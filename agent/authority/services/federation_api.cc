#include "agent/authority/services/federation_api.h"

#include <utility>

#include <fmt/format.h>
#include <google/protobuf/empty.pb.h>

#include "agent/authority/services/federation_batches.h"
#include "agent/authority/services/matching.h"
#include "base/h2/message_codec.h"

#include "spire/api/server/trustdomain/v1/trustdomain.pb.h"

namespace credence {
namespace {

using h2::ParseRequest;
using h2::Serialize;
namespace api = spire::api::server::trustdomain::v1;

constexpr std::string_view kService = "/spire.api.server.trustdomain.v1.TrustDomain/";
constexpr int kMaxBatch = 1000;

Error TooMany(std::string_view field) {
  return Error(Code::kInvalidArgument, fmt::format("{}: at most {}", field, kMaxBatch));
}

}  // namespace

void FederationApi::RegisterForOperators(h2::Server& server) {
  const auto add = [this, &server](std::string_view method, auto serve) {
    server.HandleUnary(std::string(kService) + std::string(method),
                       [this, serve](std::shared_ptr<h2::ServerCall> call, std::string request) {
                         return (this->*serve)(std::move(call), std::move(request));
                       });
  };
  add("ListFederationRelationships", &FederationApi::List);
  add("GetFederationRelationship", &FederationApi::Get);
  add("BatchCreateFederationRelationship", &FederationApi::Create);
  add("BatchUpdateFederationRelationship", &FederationApi::Update);
  add("BatchDeleteFederationRelationship", &FederationApi::Delete);
  add("RefreshBundle", &FederationApi::Refresh);
}

Task<h2::UnaryReply> FederationApi::List(std::shared_ptr<h2::ServerCall> call,
                                         std::string request) {
  if (auto refusal = access_.RefusalOfOperator(*call)) {
    co_return *std::move(refusal);
  }
  api::ListFederationRelationshipsRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  const auto* mask = message.has_output_mask() ? &message.output_mask() : nullptr;
  api::ListFederationRelationshipsResponse response;
  response.set_next_page_token(TakePage(
      state_.tables().federation,
      message.page_token(),
      message.page_size(),
      [](const auto& record) { return !record.relationship().bundle_endpoint_url().empty(); },
      [&](const auto& record) {
        *response.add_federation_relationships() = MaskedRelationship(record.relationship(), mask);
      }));
  co_return Serialize(response);
}

Task<h2::UnaryReply> FederationApi::Get(std::shared_ptr<h2::ServerCall> call, std::string request) {
  if (auto refusal = access_.RefusalOfOperator(*call)) {
    co_return *std::move(refusal);
  }
  api::GetFederationRelationshipRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  const auto domain = ParseTrustDomainName(message.trust_domain());
  if (!domain.ok()) {
    co_return domain.error();
  }
  const auto* found = FindRelationship(state_.tables(), domain->name());
  if (found == nullptr) {
    co_return Error(Code::kNotFound, fmt::format("there is no federation with {}", domain->name()));
  }
  co_return Serialize(
      MaskedRelationship(*found, message.has_output_mask() ? &message.output_mask() : nullptr));
}

Task<h2::UnaryReply> FederationApi::Create(std::shared_ptr<h2::ServerCall> call,
                                           std::string request) {
  if (auto refusal = access_.RefusalOfOperator(*call)) {
    co_return *std::move(refusal);
  }
  const auto batch = std::make_shared<CreateRelationshipsBatch>();
  if (const auto parsed = ParseRequest(request, batch->request); !parsed.ok()) {
    co_return parsed.error();
  }
  if (batch->request.federation_relationships_size() > kMaxBatch) {
    co_return TooMany("federation_relationships");
  }
  const auto written = co_await bundles_.Write(
      PlanToCreateRelationships(batch, state_.trust_domain(), ToUnixSeconds(clock_.Now())));
  if (!written.ok()) {
    co_return written.error();
  }
  co_return Serialize(batch->response);
}

Task<h2::UnaryReply> FederationApi::Update(std::shared_ptr<h2::ServerCall> call,
                                           std::string request) {
  if (auto refusal = access_.RefusalOfOperator(*call)) {
    co_return *std::move(refusal);
  }
  const auto batch = std::make_shared<UpdateRelationshipsBatch>();
  if (const auto parsed = ParseRequest(request, batch->request); !parsed.ok()) {
    co_return parsed.error();
  }
  if (batch->request.federation_relationships_size() > kMaxBatch) {
    co_return TooMany("federation_relationships");
  }
  const auto written = co_await bundles_.Write(
      PlanToUpdateRelationships(batch, state_.trust_domain(), ToUnixSeconds(clock_.Now())));
  if (!written.ok()) {
    co_return written.error();
  }
  co_return Serialize(batch->response);
}

Task<h2::UnaryReply> FederationApi::Delete(std::shared_ptr<h2::ServerCall> call,
                                           std::string request) {
  if (auto refusal = access_.RefusalOfOperator(*call)) {
    co_return *std::move(refusal);
  }
  const auto batch = std::make_shared<DeleteRelationshipsBatch>();
  if (const auto parsed = ParseRequest(request, batch->request); !parsed.ok()) {
    co_return parsed.error();
  }
  if (batch->request.trust_domains_size() > kMaxBatch) {
    co_return TooMany("trust_domains");
  }
  const auto written = co_await bundles_.Write(PlanToDeleteRelationships(batch));
  if (!written.ok()) {
    co_return written.error();
  }
  co_return Serialize(batch->response);
}

Task<h2::UnaryReply> FederationApi::Refresh(std::shared_ptr<h2::ServerCall> call,
                                            std::string request) {
  if (auto refusal = access_.RefusalOfOperator(*call)) {
    co_return *std::move(refusal);
  }
  api::RefreshBundleRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  const auto domain = ParseTrustDomainName(message.trust_domain());
  if (!domain.ok()) {
    co_return domain.error();
  }
  const auto refreshed = co_await bundles_.Refresh(*domain);
  if (!refreshed.ok()) {
    co_return refreshed.error();
  }
  co_return Serialize(google::protobuf::Empty());
}

}  // namespace credence
