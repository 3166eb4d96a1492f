#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <google/protobuf/empty.pb.h>

#include "agent/authority/services/agent_api.h"
#include "agent/authority/services/agent_filters.h"
#include "agent/authority/services/agent_records.h"
#include "agent/authority/services/matching.h"
#include "base/core/log.h"
#include "base/crypto/digest.h"
#include "base/h2/message_codec.h"

#include "spire/api/server/agent/v1/agent.pb.h"

/// What operators do with nodes: tokens for new ones, lists, eviction and bans.
namespace credence {
namespace {

using authority::v1::AgentRecord;
using authority::v1::JoinTokenRecord;
using h2::ParseRequest;
using h2::Serialize;
using Plan = AuthorityState::Plan;
namespace api = spire::api::server::agent::v1;

/// A node that does not come within a year needs another token.
constexpr std::chrono::seconds kLongestTokenLife{std::chrono::hours(24 * 365)};

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

void AgentApi::RegisterForOperators(h2::Server& server) {
  const auto add = [this, &server](std::string_view method, auto serve) {
    server.HandleUnary(AgentMethod(method),
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
    record.set_alias_entry_id(entry->id());
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
