#include "agent/authority/services/agent_api.h"

#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <google/protobuf/empty.pb.h>

#include "agent/authority/keys/issuer.h"
#include "agent/authority/services/agent_filters.h"
#include "agent/authority/services/matching.h"
#include "base/core/log.h"
#include "base/crypto/certificate_issuing.h"
#include "base/crypto/digest.h"
#include "base/h2/message_codec.h"

#include "spire/api/server/agent/v1/agent.pb.h"

namespace credence {
namespace {

using authority::v1::AgentRecord;
using authority::v1::JoinTokenRecord;
using h2::ParseRequest;
using h2::Serialize;
using spire::api::types::PermissionDeniedDetails;
using Plan = AuthorityState::Plan;
namespace api = spire::api::server::agent::v1;

constexpr std::string_view kService = "/spire.api.server.agent.v1.Agent/";
constexpr std::string_view kJoinToken = "join_token";
constexpr std::size_t kMaxVersionBytes = 255;
constexpr std::size_t kMaxTokenBytes = 128;
/// A node that does not come within a year needs another token.
constexpr std::chrono::seconds kLongestTokenLife{std::chrono::hours(24 * 365)};

std::string Path(std::string_view method) {
  return std::string(kService) + std::string(method);
}

Result<SpiffeId> AgentIdOfToken(const TrustDomain& trust_domain, const std::string& token) {
  if (token.empty() || token.size() > kMaxTokenBytes || token.find('/') != std::string::npos) {
    return Error(Code::kInvalidArgument,
                 fmt::format("a join token has 1 to {} letters, digits and -_.", kMaxTokenBytes));
  }
  auto id = SpiffeId::FromParts(trust_domain.name(), "/spire/agent/join_token/" + token);
  // The token itself must not come back in an error.
  if (!id.ok()) {
    return Error(Code::kInvalidArgument,
                 fmt::format("a join token has 1 to {} letters, digits and -_.", kMaxTokenBytes));
  }
  return id;
}

spire::api::types::X509SVID ToMessage(const SignedX509Svid& svid, const SpiffeId& id) {
  spire::api::types::X509SVID message;
  for (const std::string& certificate : svid.certificates) {
    message.add_cert_chain(certificate);
  }
  *message.mutable_id() = IdInParts(id);
  message.set_expires_at(ToUnixSeconds(svid.not_after));
  return message;
}

Change PutAgent(const AgentRecord& record) {
  return {Table::kAgents, record.id(), record.SerializeAsString()};
}

/// The agent that a request names. Errors: kInvalidArgument.
Result<std::string> AgentIdOf(const spire::api::types::SPIFFEID& id) {
  const auto parsed = SpiffeId::FromParts(id.trust_domain(), id.path());
  if (!parsed.ok()) {
    return Error(parsed.error()).Wrap("agent");
  }
  if (!parsed->path().starts_with("/spire/agent/")) {
    return Error(
        Code::kInvalidArgument,
        fmt::format("{} is no agent: its path is not under /spire/agent/", parsed->text()));
  }
  return parsed->text();
}

Error NoSuchAgent(const std::string& id) {
  return Error(Code::kNotFound, fmt::format("there is no agent {}", id));
}

}  // namespace

void AgentApi::RegisterForAgents(h2::Server& server) {
  server.Handle(Path("AttestAgent"),
                [this](std::shared_ptr<h2::ServerCall> call) { return Attest(std::move(call)); });
  server.HandleUnary(Path("RenewAgent"), [this](auto call, std::string request) {
    return Renew(std::move(call), std::move(request));
  });
  server.HandleUnary(Path("PostStatus"), [this](auto call, std::string request) {
    return PostStatus(std::move(call), std::move(request));
  });
}

void AgentApi::RegisterForOperators(h2::Server& server) {
  const auto add = [this, &server](std::string_view method, auto serve) {
    server.HandleUnary(Path(method),
                       [this, serve](std::shared_ptr<h2::ServerCall> call, std::string request) {
                         return (this->*serve)(std::move(call), std::move(request));
                       });
  };
  add("CreateJoinToken", &AgentApi::NewJoinToken);
  add("ListAgents", &AgentApi::List);
  add("CountAgents", &AgentApi::Count);
  add("GetAgent", &AgentApi::Get);
  add("DeleteAgent", &AgentApi::Evict);
  add("BanAgent", &AgentApi::Ban);
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
    LogWarn("A node was not attested", {{"error", svid.error()}});
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

Task<Result<spire::api::types::JoinToken>> AgentApi::CreateJoinToken(
    std::chrono::seconds life, std::string token, std::shared_ptr<const SpiffeId> alias) {
  if (life < std::chrono::seconds(1) || life > kLongestTokenLife) {
    co_return Error(Code::kInvalidArgument, "ttl: 1 second to a year");
  }
  if (token.empty()) {
    token = RandomUuid();
  }
  const auto agent = AgentIdOfToken(state_.trust_domain(), token);
  if (!agent.ok()) {
    co_return agent.error();
  }
  if (alias && (!alias->MemberOf(state_.trust_domain()) || alias->path().empty() ||
                alias->path().starts_with("/spire"))) {
    co_return Error(Code::kInvalidArgument,
                    fmt::format("agent_id: needs a path in trust domain {}, and none under /spire",
                                state_.trust_domain().name()));
  }
  JoinTokenRecord record;
  record.set_token(token);
  record.set_expires_at(ToUnixSeconds(clock_.Now() + life));
  std::shared_ptr<spire::api::types::Entry> entry;
  if (alias) {
    entry = std::make_shared<spire::api::types::Entry>();
    entry->set_id(RandomUuid());
    *entry->mutable_spiffe_id() = IdInParts(*alias);
    *entry->mutable_parent_id() = IdInParts(*agent);
    auto* selector = entry->add_selectors();
    selector->set_type("spiffe_id");
    selector->set_value(agent->text());
    entry->set_created_at(ToUnixSeconds(clock_.Now()));
  }
  const auto create = [record, entry](const AuthorityTables& tables) -> Result<Plan> {
    if (tables.join_tokens.contains(record.token())) {
      return Error(Code::kAlreadyExists, "this join token exists already");
    }
    // There is one already where a node had this token and this ID before.
    const bool add = entry && !tables.entries.FindTwin(*entry);
    Plan plan{{{Table::kJoinTokens, record.token(), record.SerializeAsString()}},
              [record, entry, add](AuthorityTables& changed) {
                changed.join_tokens[record.token()] = record;
                if (add) {
                  changed.entries.Put(entry);
                }
              }};
    if (add) {
      plan.changes.push_back({Table::kEntries, entry->id(), entry->SerializeAsString()});
    }
    return plan;
  };
  const auto created = co_await state_.Write(create);
  if (!created.ok()) {
    co_return created.error();
  }
  spire::api::types::JoinToken reply;
  reply.set_value(record.token());
  reply.set_expires_at(record.expires_at());
  co_return reply;
}

Task<h2::UnaryReply> AgentApi::NewJoinToken(std::shared_ptr<h2::ServerCall> call,
                                            std::string request) {
  if (auto refusal = access_.RefusalOfOperator(*call)) {
    co_return *std::move(refusal);
  }
  api::CreateJoinTokenRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  std::shared_ptr<const SpiffeId> alias;
  if (message.has_agent_id()) {
    auto id = SpiffeId::FromParts(message.agent_id().trust_domain(), message.agent_id().path());
    if (!id.ok()) {
      co_return std::move(id).error().Wrap("agent_id");
    }
    alias = std::make_shared<const SpiffeId>(*std::move(id));
  }
  auto token =
      co_await CreateJoinToken(std::chrono::seconds(message.ttl()), message.token(), alias);
  if (!token.ok()) {
    co_return token.error();
  }
  co_return Serialize(*token);
}

Task<h2::UnaryReply> AgentApi::List(std::shared_ptr<h2::ServerCall> call, std::string request) {
  if (auto refusal = access_.RefusalOfOperator(*call)) {
    co_return *std::move(refusal);
  }
  api::ListAgentsRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  const auto* mask = message.has_output_mask() ? &message.output_mask() : nullptr;
  api::ListAgentsResponse response;
  response.set_next_page_token(TakePage(
      state_.tables().agents,
      message.page_token(),
      message.page_size(),
      [&](const AgentRecord& record) { return PassesFilter(record, message.filter()); },
      [&](const AgentRecord& record) { *response.add_agents() = AgentFromRecord(record, mask); }));
  co_return Serialize(response);
}

Task<h2::UnaryReply> AgentApi::Count(std::shared_ptr<h2::ServerCall> call, std::string request) {
  if (auto refusal = access_.RefusalOfOperator(*call)) {
    co_return *std::move(refusal);
  }
  api::CountAgentsRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  const auto filter = ListFilter(message.filter());
  const auto& agents = state_.tables().agents;
  const auto count = std::count_if(agents.begin(), agents.end(), [&](const auto& agent) {
    return PassesFilter(agent.second, filter);
  });
  api::CountAgentsResponse response;
  response.set_count(static_cast<std::int32_t>(count));
  co_return Serialize(response);
}

Task<h2::UnaryReply> AgentApi::Get(std::shared_ptr<h2::ServerCall> call, std::string request) {
  if (auto refusal = access_.RefusalOfOperator(*call)) {
    co_return *std::move(refusal);
  }
  api::GetAgentRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  const auto id = AgentIdOf(message.id());
  if (!id.ok()) {
    co_return id.error();
  }
  const auto found = state_.tables().agents.find(*id);
  if (found == state_.tables().agents.end()) {
    co_return NoSuchAgent(*id);
  }
  co_return Serialize(
      AgentFromRecord(found->second, message.has_output_mask() ? &message.output_mask() : nullptr));
}

Task<h2::UnaryReply> AgentApi::Evict(std::shared_ptr<h2::ServerCall> call, std::string request) {
  if (auto refusal = access_.RefusalOfOperator(*call)) {
    co_return *std::move(refusal);
  }
  api::DeleteAgentRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  const auto id = AgentIdOf(message.id());
  if (!id.ok()) {
    co_return id.error();
  }
  const auto evict = [id = *id](const AuthorityTables& tables) -> Result<Plan> {
    if (!tables.agents.contains(id)) {
      return NoSuchAgent(id);
    }
    return Plan{{{Table::kAgents, id, std::nullopt}},
                [id](AuthorityTables& changed) { changed.agents.erase(id); }};
  };
  const auto evicted = co_await state_.Write(evict);
  if (!evicted.ok()) {
    co_return evicted.error();
  }
  LogInfo("An agent was evicted", {{"agent", *id}});
  co_return Serialize(google::protobuf::Empty());
}

Task<h2::UnaryReply> AgentApi::Ban(std::shared_ptr<h2::ServerCall> call, std::string request) {
  if (auto refusal = access_.RefusalOfOperator(*call)) {
    co_return *std::move(refusal);
  }
  api::BanAgentRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  const auto id = AgentIdOf(message.id());
  if (!id.ok()) {
    co_return id.error();
  }
  const auto ban = [id = *id](const AuthorityTables& tables) -> Result<Plan> {
    const auto found = tables.agents.find(id);
    if (found == tables.agents.end()) {
      return NoSuchAgent(id);
    }
    AgentRecord record = found->second;
    record.set_banned(true);
    record.clear_serial();
    record.clear_new_serial();
    record.clear_new_not_after();
    return Plan{{PutAgent(record)},
                [record](AuthorityTables& changed) { changed.agents[record.id()] = record; }};
  };
  const auto banned = co_await state_.Write(ban);
  if (!banned.ok()) {
    co_return banned.error();
  }
  LogInfo("An agent was banned", {{"agent", *id}});
  co_return Serialize(google::protobuf::Empty());
}

}  // namespace credence
