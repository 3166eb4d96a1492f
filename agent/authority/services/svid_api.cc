#include "agent/authority/services/svid_api.h"

#include <algorithm>
#include <memory>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "agent/authority/keys/issuer.h"
#include "base/core/log.h"
#include "base/crypto/certificate_issuing.h"
#include "base/crypto/digest.h"
#include "base/h2/message_codec.h"

#include "spire/api/server/svid/v1/svid.pb.h"

namespace credence {
namespace {

using h2::ParseRequest;
using h2::Serialize;
namespace api = spire::api::server::svid::v1;

constexpr std::string_view kService = "/spire.api.server.svid.v1.SVID/";
constexpr int kMaxBatch = 500;
constexpr int kMaxAudiences = 64;
constexpr std::size_t kMaxAudienceBytes = 2048;

/// One item of a batch: what it is for, and the request.
struct Item {
  StoredEntry entry;
  std::string csr;
};

Result<spire::api::types::X509SVID> SignItem(const SigningKeySet& keys,
                                             const Item& item,
                                             std::chrono::seconds life,
                                             WallTime now) {
  auto request = ParseCertificateRequest(item.csr);
  if (!request.ok()) {
    return std::move(request).error().Wrap("csr");
  }
  const auto id =
      SpiffeId::FromParts(item.entry->spiffe_id().trust_domain(), item.entry->spiffe_id().path());
  if (!id.ok()) {
    return id.error();
  }
  const auto& dns_names = item.entry->dns_names();
  const auto svid = SignX509Svid(
      keys,
      X509SvidContent{
          *id, std::move(request->public_key), {dns_names.begin(), dns_names.end()}, life},
      now);
  if (!svid.ok()) {
    return svid.error();
  }
  spire::api::types::X509SVID message;
  for (const std::string& certificate : svid->certificates) {
    message.add_cert_chain(certificate);
  }
  *message.mutable_id() = item.entry->spiffe_id();
  message.set_expires_at(ToUnixSeconds(svid->not_after));
  return message;
}

using X509Results = std::vector<api::BatchNewX509SVIDResponse::Result>;

X509Results SignItems(const SigningKeySet& keys,
                      std::span<const Item> items,
                      std::chrono::seconds default_life,
                      WallTime now) {
  X509Results results;
  for (const Item& item : items) {
    auto& result = results.emplace_back();
    if (!item.entry) {
      result.mutable_status()->set_code(static_cast<std::int32_t>(Code::kNotFound));
      result.mutable_status()->set_message("entry not found or not authorized");
      continue;
    }
    const std::chrono::seconds own_life(item.entry->x509_svid_ttl());
    auto svid = SignItem(keys, item, own_life.count() > 0 ? own_life : default_life, now);
    if (svid.ok()) {
      result.mutable_status()->set_message("OK");
      *result.mutable_svid() = *std::move(svid);
    } else {
      result.mutable_status()->set_code(static_cast<std::int32_t>(svid.error().code()));
      result.mutable_status()->set_message(svid.error().message());
    }
  }
  return results;
}

Result<void> CheckAudience(const api::NewJWTSVIDRequest& request) {
  const auto& audience = request.audience();
  const bool good = !audience.empty() && audience.size() <= kMaxAudiences &&
                    std::none_of(audience.begin(), audience.end(), [](const std::string& one) {
                      return one.empty() || one.size() > kMaxAudienceBytes;
                    });
  return good ? Ok()
              : Error(Code::kInvalidArgument,
                      fmt::format("audience: 1 to {}, none empty", kMaxAudiences));
}

}  // namespace

void SvidApi::RegisterForAgents(h2::Server& server) {
  server.HandleUnary(std::string(kService) + "BatchNewX509SVID",
                     [this](auto call, std::string request) {
                       return BatchNewX509(std::move(call), std::move(request));
                     });
  server.HandleUnary(std::string(kService) + "NewJWTSVID", [this](auto call, std::string request) {
    return NewJwt(std::move(call), std::move(request));
  });
}

StoredEntry SvidApi::Authorized(const std::string& entry_id, const std::string& agent_id) const {
  const auto& agents = state_.tables().agents;
  const auto agent = agents.find(agent_id);
  if (agent == agents.end()) {
    return nullptr;
  }
  const auto& selectors = agent->second.selectors();
  return state_.tables().entries.FindAuthorized(
      entry_id, agent_id, {selectors.begin(), selectors.end()}, ToUnixSeconds(clock_.Now()));
}

Task<h2::UnaryReply> SvidApi::BatchNewX509(std::shared_ptr<h2::ServerCall> call,
                                           std::string request) {
  auto who = co_await access_.RequireAgent(call);
  if (auto* refusal = std::get_if<h2::Status>(&who)) {
    co_return std::move(*refusal);
  }
  const std::string agent_id = std::get<ApiCaller>(who).id;
  api::BatchNewX509SVIDRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  if (message.params().empty()) {
    co_return Error(Code::kInvalidArgument, "params: at least one");
  }
  if (message.params_size() > kMaxBatch) {
    co_return Error(Code::kResourceExhausted, fmt::format("params: at most {}", kMaxBatch));
  }
  std::vector<Item> items;
  for (auto& params : *message.mutable_params()) {
    items.push_back(
        Item{Authorized(params.entry_id(), agent_id), std::move(*params.mutable_csr())});
  }
  // In slices, so that what else waits for the pool comes in between.
  constexpr std::size_t kSlice = 16;
  const auto shared = std::make_shared<const std::vector<Item>>(std::move(items));
  const auto keys = state_.keys().value();
  const WallTime now = clock_.Now();
  api::BatchNewX509SVIDResponse response;
  for (std::size_t begin = 0; begin < shared->size(); begin += kSlice) {
    const std::size_t count = std::min(kSlice, shared->size() - begin);
    auto sign = [keys, shared, begin, count, life = options_.x509_life, now] {
      return SignItems(*keys, std::span(*shared).subspan(begin, count), life, now);
    };
    auto results = co_await RunOn(pool_, std::move(sign));
    for (auto& result : results) {
      *response.add_results() = std::move(result);
    }
  }
  co_return Serialize(response);
}

Task<h2::UnaryReply> SvidApi::NewJwt(std::shared_ptr<h2::ServerCall> call, std::string request) {
  auto who = co_await access_.RequireAgent(call);
  if (auto* refusal = std::get_if<h2::Status>(&who)) {
    co_return std::move(*refusal);
  }
  api::NewJWTSVIDRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  if (const auto good = CheckAudience(message); !good.ok()) {
    co_return good.error();
  }
  const StoredEntry entry = Authorized(message.entry_id(), std::get<ApiCaller>(who).id);
  if (!entry) {
    co_return Error(Code::kNotFound, "entry not found or not authorized");
  }
  auto id = SpiffeId::FromParts(entry->spiffe_id().trust_domain(), entry->spiffe_id().path());
  if (!id.ok()) {
    co_return id.error();
  }
  const WallTime now = clock_.Now();
  const std::chrono::seconds own_life(entry->jwt_svid_ttl());
  JwtSvidContent content{.subject = *std::move(id)};
  content.audience.assign(message.audience().begin(), message.audience().end());
  content.issued_at = now;
  content.expires_at = now + (own_life.count() > 0 ? own_life : options_.jwt_life);
  content.issuer = options_.jwt_issuer;
  if (entry->additional_attributes().jwt_svid_include_jti()) {
    content.jti = RandomUuid();
  }
  auto sign = [keys = state_.keys().value(), content] { return SignJwtSvid(*keys, content); };
  auto token = co_await RunOn(pool_, std::move(sign));
  if (!token.ok()) {
    co_return token.error();
  }
  api::NewJWTSVIDResponse response;
  response.mutable_svid()->set_token(std::string(token->token.Reveal()));
  *response.mutable_svid()->mutable_id() = entry->spiffe_id();
  response.mutable_svid()->set_expires_at(ToUnixSeconds(token->expires_at));
  response.mutable_svid()->set_issued_at(ToUnixSeconds(content.issued_at));
  auto reply = Serialize(response);
  WipeString(*response.mutable_svid()->mutable_token());
  co_return reply;
}

}  // namespace credence
