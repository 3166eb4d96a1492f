#include "agent/authority/services/bundle_api.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "agent/authority/services/bundle_batches.h"
#include "agent/authority/services/matching.h"
#include "base/h2/message_codec.h"

#include "spire/api/server/bundle/v1/bundle.pb.h"

namespace credence {
namespace {

using h2::ParseRequest;
using h2::Serialize;
namespace api = spire::api::server::bundle::v1;

constexpr std::string_view kService = "/spire.api.server.bundle.v1.Bundle/";
constexpr int kMaxBatch = 1000;

std::string Path(std::string_view method) {
  return std::string(kService) + std::string(method);
}

}  // namespace

void BundleApi::RegisterForAgents(h2::Server& server) {
  server.HandleUnary(Path("GetBundle"), [this](auto call, std::string request) {
    return GetOwn(std::move(call), std::move(request));
  });
  server.HandleUnary(Path("GetFederatedBundle"), [this](auto call, std::string request) {
    return GetFederated(std::move(call), std::move(request));
  });
}

void BundleApi::RegisterForOperators(h2::Server& server) {
  const auto add = [this, &server](std::string_view method, auto serve) {
    server.HandleUnary(Path(method),
                       [this, serve](std::shared_ptr<h2::ServerCall> call, std::string request) {
                         return (this->*serve)(std::move(call), std::move(request));
                       });
  };
  add("CountBundles", &BundleApi::Count);
  add("ListFederatedBundles", &BundleApi::ListFederated);
  add("BatchSetFederatedBundle", &BundleApi::SetFederated);
  add("BatchDeleteFederatedBundle", &BundleApi::DeleteFederated);
}

Task<h2::UnaryReply> BundleApi::GetOwn(std::shared_ptr<h2::ServerCall> /*call*/,
                                       std::string request) {
  api::GetBundleRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  co_return Serialize(
      MaskedBundle(state_.Bundle(), message.has_output_mask() ? &message.output_mask() : nullptr));
}

Task<h2::UnaryReply> BundleApi::GetFederated(std::shared_ptr<h2::ServerCall> call,
                                             std::string request) {
  auto who = co_await access_.RequireAgentOrOperator(call);
  if (auto* refusal = std::get_if<h2::Status>(&who)) {
    co_return std::move(*refusal);
  }
  api::GetFederatedBundleRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  const auto domain = TrustDomain::Parse(message.trust_domain());
  if (!domain.ok()) {
    co_return Error(domain.error()).Wrap("trust_domain");
  }
  if (*domain == state_.trust_domain()) {
    co_return Error(Code::kInvalidArgument,
                    fmt::format("{} is the own trust domain", domain->name()));
  }
  const auto found = state_.tables().federation.find(domain->name());
  if (found == state_.tables().federation.end() ||
      !found->second.relationship().has_trust_domain_bundle()) {
    co_return Error(Code::kNotFound, fmt::format("the bundle of {} is not known", domain->name()));
  }
  co_return Serialize(MaskedBundle(found->second.relationship().trust_domain_bundle(),
                                   message.has_output_mask() ? &message.output_mask() : nullptr));
}

Task<h2::UnaryReply> BundleApi::Count(std::shared_ptr<h2::ServerCall> call, std::string request) {
  if (auto refusal = access_.RefusalOfOperator(*call)) {
    co_return *std::move(refusal);
  }
  api::CountBundlesRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  api::CountBundlesResponse response;
  const auto& known = state_.tables().federation;
  const auto foreign = std::count_if(known.begin(), known.end(), [](const auto& record) {
    return record.second.relationship().has_trust_domain_bundle();
  });
  response.set_count(static_cast<std::int32_t>(foreign + 1));
  co_return Serialize(response);
}

Task<h2::UnaryReply> BundleApi::ListFederated(std::shared_ptr<h2::ServerCall> call,
                                              std::string request) {
  if (auto refusal = access_.RefusalOfOperator(*call)) {
    co_return *std::move(refusal);
  }
  api::ListFederatedBundlesRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  const auto* mask = message.has_output_mask() ? &message.output_mask() : nullptr;
  api::ListFederatedBundlesResponse response;
  response.set_next_page_token(TakePage(
      state_.tables().federation,
      message.page_token(),
      message.page_size(),
      [](const auto& record) { return record.relationship().has_trust_domain_bundle(); },
      [&](const auto& record) {
        *response.add_bundles() = MaskedBundle(record.relationship().trust_domain_bundle(), mask);
      }));
  co_return Serialize(response);
}

Task<h2::UnaryReply> BundleApi::SetFederated(std::shared_ptr<h2::ServerCall> call,
                                             std::string request) {
  if (auto refusal = access_.RefusalOfOperator(*call)) {
    co_return *std::move(refusal);
  }
  const auto batch = std::make_shared<SetBundlesBatch>();
  if (const auto parsed = ParseRequest(request, batch->request); !parsed.ok()) {
    co_return parsed.error();
  }
  if (batch->request.bundle_size() > kMaxBatch) {
    co_return Error(Code::kInvalidArgument, fmt::format("bundle: at most {}", kMaxBatch));
  }
  const auto written = co_await state_.Write(
      PlanToSetBundles(batch, state_.trust_domain(), ToUnixSeconds(clock_.Now())));
  if (!written.ok()) {
    co_return written.error();
  }
  co_return Serialize(batch->response);
}

Task<h2::UnaryReply> BundleApi::DeleteFederated(std::shared_ptr<h2::ServerCall> call,
                                                std::string request) {
  if (auto refusal = access_.RefusalOfOperator(*call)) {
    co_return *std::move(refusal);
  }
  const auto batch = std::make_shared<DeleteBundlesBatch>();
  if (const auto parsed = ParseRequest(request, batch->request); !parsed.ok()) {
    co_return parsed.error();
  }
  if (batch->request.trust_domains_size() > kMaxBatch) {
    co_return Error(Code::kInvalidArgument, fmt::format("trust_domains: at most {}", kMaxBatch));
  }
  const auto written = co_await state_.Write(PlanToDeleteBundles(batch));
  if (!written.ok()) {
    co_return written.error();
  }
  co_return Serialize(batch->response);
}

}  // namespace credence
