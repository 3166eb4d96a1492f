#include "agent/authority/services/agent_api.h"

#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "agent/authority/keys/issuer.h"
#include "agent/authority/services/agent_records.h"
#include "agent/authority/services/entry_set.h"
#include "base/core/log.h"
#include "base/crypto/certificate_issuing.h"
#include "base/h2/message_codec.h"

#include "spire/api/server/agent/v1/agent.pb.h"

namespace credence {
namespace {

using authority::v1::AgentRecord;
using h2::ParseRequest;
using h2::Serialize;
using spire::api::types::PermissionDeniedDetails;
using Plan = AuthorityState::Plan;
namespace api = spire::api::server::agent::v1;

constexpr std::string_view kJoinToken = "join_token";
constexpr std::size_t kMaxVersionBytes = 255;

spire::api::types::X509SVID ToMessage(const SignedX509Svid& svid, const SpiffeId& id) {
  spire::api::types::X509SVID message;
  for (const std::string& certificate : svid.certificates) {
    message.add_cert_chain(certificate);
  }
  *message.mutable_id() = IdInParts(id);
  message.set_expires_at(ToUnixSeconds(svid.not_after));
  return message;
}

}  // namespace

void AgentApi::RegisterForAgents(h2::Server& server) {
  server.Handle(AgentMethod("AttestAgent"),
                [this](std::shared_ptr<h2::ServerCall> call) { return Attest(std::move(call)); });
  server.HandleUnary(AgentMethod("RenewAgent"), [this](auto call, std::string request) {
    return Renew(std::move(call), std::move(request));
  });
  server.HandleUnary(AgentMethod("PostStatus"), [this](auto call, std::string request) {
    return PostStatus(std::move(call), std::move(request));
  });
}

Task<h2::Status> AgentApi::Attest(std::shared_ptr<h2::ServerCall> call) {
  auto first = co_await call->Read();
  if (!first.ok()) {
    co_return h2::Status::From(first.error());
  }
  api::AttestAgentRequest request;
  if (!first->has_value()) {
    co_return h2::Status{Code::kInvalidArgument, "the call has no request message", ""};
  }
  if (const auto parsed = ParseRequest(**first, request); !parsed.ok()) {
    co_return h2::Status::From(parsed.error());
  }
  const auto& params = request.params();
  if (params.data().type().empty() || params.data().payload().empty()) {
    co_return h2::Status{Code::kInvalidArgument, "params.data: needs a type and a payload", ""};
  }
  if (params.data().type() != kJoinToken) {
    co_return h2::Status{
        Code::kFailedPrecondition,
        fmt::format("node attestor \"{:.64}\" is not configured: this authority attests nodes by "
                    "join_token",
                    params.data().type()),
        ""};
  }
  auto svid = co_await AttestByToken(params.data().payload(), params.params().csr());
  if (!svid.ok()) {
    WarnOfRefusal(svid.error());
    co_return h2::Status::From(svid.error());
  }
  api::AttestAgentResponse response;
  *response.mutable_result()->mutable_svid() = *std::move(svid);
  auto message = Serialize(response);
  if (!message.ok()) {
    co_return h2::Status::From(message.error());
  }
  auto written = co_await call->Write(*std::move(message));
  co_return written.ok() ? h2::Status::Ok() : h2::Status::From(written.error());
}

void AgentApi::WarnOfRefusal(const Error& error) {
  constexpr std::chrono::seconds kPause{10};
  const SteadyTime now = clock_.SteadyNow();
  if (now < next_warning_) {
    ++unmentioned_;
    return;
  }
  next_warning_ = now + kPause;
  LogWarn("A node was not attested",
          {{"error", error}, {"others_since_last_line", std::exchange(unmentioned_, 0)}});
}

Task<Result<spire::api::types::X509SVID>> AgentApi::AttestByToken(std::string token,
                                                                  std::string csr) {
  const auto id = AgentIdOfToken(state_.trust_domain(), token);
  if (!id.ok()) {
    co_return id.error();
  }
  // Before anything is signed: guessing must be cheap for us.
  if (!state_.tables().join_tokens.contains(token)) {
    co_return Error(Code::kInvalidArgument, "the join token is unknown or was used already");
  }
  auto signed_svid = co_await SignForAgent(*id, std::move(csr));
  if (!signed_svid.ok()) {
    co_return std::move(signed_svid).error();
  }
  AgentRecord record;
  record.set_id(id->text());
  record.set_attestation_type(std::string(kJoinToken));
  record.set_serial(signed_svid->serial);
  record.set_not_after(ToUnixSeconds(signed_svid->not_after));
  const auto join = [token, record, now = ToUnixSeconds(clock_.Now())](
                        const AuthorityTables& tables) -> Result<Plan> {
    const auto known = tables.join_tokens.find(token);
    if (known == tables.join_tokens.end()) {
      return Error(Code::kInvalidArgument, "the join token is unknown or was used already");
    }
    if (known->second.expires_at() <= now) {
      return Error(Code::kInvalidArgument, "the join token has expired");
    }
    const auto agent = tables.agents.find(record.id());
    if (agent != tables.agents.end() && agent->second.banned()) {
      return Error(Code::kPermissionDenied, "the agent is banned");
    }
    return Plan{{{Table::kJoinTokens, token, std::nullopt}, PutAgent(record)},
                [token, record](AuthorityTables& changed) {
                  changed.join_tokens.erase(token);
                  changed.agents[record.id()] = record;
                }};
  };
  const auto joined = co_await state_.Write(join);
  if (!joined.ok()) {
    co_return joined.error();
  }
  LogInfo("A node was attested", {{"attestor", kJoinToken}});
  co_return ToMessage(*signed_svid, *id);
}

Task<Result<SignedX509Svid>> AgentApi::SignForAgent(SpiffeId id, std::string csr) {
  auto sign = [keys = state_.keys().value(),
               id = std::move(id),
               csr = std::move(csr),
               life = options_.agent_svid_life,
               now = clock_.Now()]() -> Result<SignedX509Svid> {
    auto request = ParseCertificateRequest(csr);
    if (!request.ok()) {
      return std::move(request).error().Wrap("params.csr");
    }
    return SignX509Svid(*keys, X509SvidContent{id, std::move(request->public_key), {}, life}, now);
  };
  auto signed_svid = co_await RunOn(pool_, std::move(sign));
  co_return signed_svid;
}

Task<h2::UnaryReply> AgentApi::Renew(std::shared_ptr<h2::ServerCall> call, std::string request) {
  auto who = co_await access_.RequireAgent(call);
  if (auto* refusal = std::get_if<h2::Status>(&who)) {
    co_return std::move(*refusal);
  }
  const std::string id = std::get<ApiCaller>(who).id;
  api::RenewAgentRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  const auto& agents = state_.tables().agents;
  const auto found = agents.find(id);
  if (found != agents.end() && found->second.can_reattest()) {
    co_return AgentRefusal(PermissionDeniedDetails::AGENT_MUST_REATTEST,
                           "the agent can attest again and must");
  }
  const auto spiffe_id = SpiffeId::Parse(id);
  if (!spiffe_id.ok()) {
    co_return spiffe_id.error();
  }
  auto signed_svid = co_await SignForAgent(*spiffe_id, message.params().csr());
  if (!signed_svid.ok()) {
    co_return signed_svid.error();
  }
  const auto renew =
      [id, serial = signed_svid->serial, not_after = ToUnixSeconds(signed_svid->not_after)](
          const AuthorityTables& tables) -> Result<Plan> {
    const auto now = tables.agents.find(id);
    if (now == tables.agents.end() || now->second.banned()) {
      return Error(Code::kAborted, "the agent has changed meanwhile; try again");
    }
    AgentRecord record = now->second;
    record.set_new_serial(serial);
    record.set_new_not_after(not_after);
    return Plan{{PutAgent(record)},
                [record](AuthorityTables& changed) { changed.agents[record.id()] = record; }};
  };
  const auto renewed = co_await state_.Write(renew);
  if (!renewed.ok()) {
    co_return renewed.error();
  }
  api::RenewAgentResponse response;
  *response.mutable_svid() = ToMessage(*signed_svid, *spiffe_id);
  co_return Serialize(response);
}

Task<h2::UnaryReply> AgentApi::PostStatus(std::shared_ptr<h2::ServerCall> call,
                                          std::string request) {
  auto who = co_await access_.RequireAgent(call);
  if (auto* refusal = std::get_if<h2::Status>(&who)) {
    co_return std::move(*refusal);
  }
  api::PostStatusRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  if (message.agent_version().size() > kMaxVersionBytes) {
    co_return Error(Code::kInvalidArgument,
                    fmt::format("agent_version: at most {} bytes", kMaxVersionBytes));
  }
  const auto note = [id = std::get<ApiCaller>(who).id, version = message.agent_version()](
                        const AuthorityTables& tables) -> Result<Plan> {
    const auto now = tables.agents.find(id);
    if (now == tables.agents.end() || now->second.agent_version() == version) {
      return Plan{};
    }
    AgentRecord record = now->second;
    record.set_agent_version(version);
    return Plan{{PutAgent(record)},
                [record](AuthorityTables& changed) { changed.agents[record.id()] = record; }};
  };
  const auto noted = co_await state_.Write(note);
  if (!noted.ok()) {
    co_return noted.error();
  }
  co_return Serialize(api::PostStatusResponse());
}

}  // namespace credence
