#include <algorithm>
#include <cctype>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "agent/cli/authority/asking_command.h"
#include "agent/cli/authority/authority_flags.h"
#include "agent/cli/authority/selector_flags.h"
#include "agent/cli/authority/server_output.h"
#include "agent/cli/authority/server_pages.h"
#include "agent/cli/authority/wire_types.h"
#include "agent/cli/commands.h"
#include "base/rpc/foreign_text.h"

#include "spire/api/server/agent/v1/agent.grpc.pb.h"

namespace credence {
namespace {

using AgentStub = spire::api::server::agent::v1::Agent::Stub;
using spire::api::server::agent::v1::BanAgentRequest;
using spire::api::server::agent::v1::CountAgentsRequest;
using spire::api::server::agent::v1::DeleteAgentRequest;
using spire::api::server::agent::v1::GetAgentRequest;
using spire::api::server::agent::v1::ListAgentsRequest;
using spire::api::server::agent::v1::ListAgentsResponse;
using spire::api::types::SelectorMatch;

constexpr int kAgentsPerPage = 500;

struct AgentFilterOptions {
  AuthorityFlags authority;
  std::vector<std::string> selectors;
  SelectorMatch::MatchBehavior match = SelectorMatch::MATCH_SUPERSET;
  std::string attestation_type;
  /// "", "true" or "false".
  std::string banned;
  std::string can_reattest;
  std::string expires_before;
};

/// The one form in which a server takes a time: Go's "2006-01-02 15:04:05 -0700 -07".
std::string CheckTime(const std::string& text) {
  constexpr std::string_view kForm = "0000-00-00 00:00:00 +0000 +00";
  const bool fits = std::ranges::equal(text, kForm, [](char c, char form) {
    return form == '0'   ? std::isdigit(static_cast<unsigned char>(c)) != 0
           : form == '+' ? c == '+' || c == '-'
                         : c == form;
  });
  return fits ? "" : "expected a time such as \"2026-01-02 15:04:05 +0000 +00\"";
}

struct OneAgentOptions {
  AuthorityFlags authority;
  std::string spiffe_id;
};

/// The filters of listing and counting have the same fields.
template <class Filter>
Result<Filter> MakeFilter(const AgentFilterOptions& options) {
  Filter filter;
  filter.set_by_attestation_type(options.attestation_type);
  filter.set_by_expires_before(options.expires_before);
  if (!options.banned.empty()) {
    filter.mutable_by_banned()->set_value(options.banned == "true");
  }
  if (!options.can_reattest.empty()) {
    filter.mutable_by_can_reattest()->set_value(options.can_reattest == "true");
  }
  if (!options.selectors.empty()) {
    auto match = WireSelectorMatch(options.selectors, options.match);
    if (!match.ok()) {
      return std::move(match).error();
    }
    *filter.mutable_by_selector_match() = *std::move(match);
  }
  return filter;
}

Result<ListAgentsResponse> FetchAll(const AgentFilterOptions& options) {
  ListAgentsRequest request;
  auto filter = MakeFilter<ListAgentsRequest::Filter>(options);
  if (!filter.ok()) {
    return std::move(filter).error();
  }
  *request.mutable_filter() = *std::move(filter);
  request.set_page_size(kAgentsPerPage);
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  return FetchPages(*client, &AgentStub::ListAgents, request);
}

Result<ExitCode> List(const AgentFilterOptions& options) {
  const auto list = FetchAll(options);
  if (!list.ok()) {
    return list.error();
  }
  if (options.authority.format == OutputFormat::kJson) {
    PrintMessageJson(*list);
    return ExitCode::kOk;
  }
  if (list->agents().empty()) {
    PrintLine("No attested agents found");
    return ExitCode::kOk;
  }
  PrintLine(fmt::format(
      "Found {}:\n",
      Counted(static_cast<std::size_t>(list->agents_size()), "attested agent", "attested agents")));
  for (const auto& agent : list->agents()) {
    PrintLine(DescribeAgent(agent));
  }
  return ExitCode::kOk;
}

Result<ExitCode> Count(const AgentFilterOptions& options) {
  CountAgentsRequest request;
  auto filter = MakeFilter<CountAgentsRequest::Filter>(options);
  if (!filter.ok()) {
    return std::move(filter).error();
  }
  *request.mutable_filter() = *std::move(filter);
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  const auto reply = client->Call(&AgentStub::CountAgents, request);
  if (!reply.ok()) {
    return reply.error();
  }
  if (options.authority.format == OutputFormat::kJson) {
    PrintMessageJson(*reply);
  } else {
    PrintLine(
        Counted(static_cast<std::size_t>(reply->count()), "attested agent", "attested agents"));
  }
  return ExitCode::kOk;
}

/// Calls `method` with the agent that was named.
template <class Request, class Reply>
Result<Reply> CallForAgent(const OneAgentOptions& options,
                           grpc::Status (AgentStub::*method)(grpc::ClientContext*,
                                                             const Request&,
                                                             Reply*)) {
  auto id = WireId("-spiffeID", options.spiffe_id);
  if (!id.ok()) {
    return std::move(id).error();
  }
  Request request;
  *request.mutable_id() = *std::move(id);
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  auto reply = client->Call(method, request);
  if (!reply.ok()) {
    return std::move(reply).error().Wrap(options.spiffe_id);
  }
  return reply;
}

Result<ExitCode> Show(const OneAgentOptions& options) {
  const auto agent = CallForAgent(options, &AgentStub::GetAgent);
  if (!agent.ok()) {
    return agent.error();
  }
  if (options.authority.format == OutputFormat::kJson) {
    PrintMessageJson(*agent);
    return ExitCode::kOk;
  }
  PrintLine("Found an attested agent given its SPIFFE ID\n");
  PrintLine(DescribeAgent(*agent));
  for (const auto& selector : agent->selectors()) {
    PrintLine(fmt::format(
        "{:<18}: {}:{}", "Selectors", ForeignText(selector.type()), ForeignText(selector.value())));
  }
  return ExitCode::kOk;
}

/// Evicts or bans: the answer says nothing but that it is done.
template <class Method>
Result<ExitCode> Do(const OneAgentOptions& options, Method method, const char* done) {
  const auto reply = CallForAgent(options, method);
  if (!reply.ok()) {
    return reply.error();
  }
  if (options.authority.format == OutputFormat::kJson) {
    PrintMessageJson(*reply);
  } else {
    PrintLine(done);
  }
  return ExitCode::kOk;
}

Result<ExitCode> Evict(const OneAgentOptions& options) {
  return Do(options, &AgentStub::DeleteAgent, "Agent evicted successfully");
}

Result<ExitCode> Ban(const OneAgentOptions& options) {
  return Do(options, &AgentStub::BanAgent, "Agent banned successfully");
}

void AddFiltering(CLI::App& command,
                  Result<ExitCode> (*perform)(const AgentFilterOptions&),
                  const std::shared_ptr<Action>& action) {
  auto options = std::make_shared<AgentFilterOptions>();
  AddSelectorFilter(command, options->selectors, options->match);
  command.add_option("--attestationType",
                     options->attestation_type,
                     "Those that attested this way, such as join_token");
  command.add_option("--banned", options->banned, "true: banned ones, false: others")
      ->check(CLI::IsMember({"true", "false"}))
      ->option_text("true|false");
  command.add_option("--canReattest", options->can_reattest, "true: those that can attest anew")
      ->check(CLI::IsMember({"true", "false"}))
      ->option_text("true|false");
  command
      .add_option("--expiresBefore",
                  options->expires_before,
                  "Those whose SVID ends before \"2026-01-02 15:04:05 +0000 +00\"")
      ->check(CLI::Validator(CheckTime, ""));
  FinishCommand(command, options, perform, action);
}

void AddForOne(CLI::App& command,
               Result<ExitCode> (*perform)(const OneAgentOptions&),
               const std::shared_ptr<Action>& action) {
  auto options = std::make_shared<OneAgentOptions>();
  command.add_option("--spiffeID", options->spiffe_id, "SPIFFE ID of the agent (see `agent list`)")
      ->required();
  FinishCommand(command, options, perform, action);
}

}  // namespace

void AddAgentCommand(CLI::App& app, const std::shared_ptr<Action>& action) {
  CLI::App* agent = app.add_subcommand("agent", "Agents that have attested to the authority");
  agent->footer(
      "Examples:\n"
      "  credence agent list\n"
      "  credence agent evict --help");
  agent->require_subcommand(1);
  const std::string one = " -spiffeID spiffe://example.org/spire/agent/join_token/TOKEN";

  CLI::App* command = agent->add_subcommand("list", "List agents");
  command->footer("Examples:\n  credence agent list\n  credence agent list -banned true");
  AddFiltering(*command, List, action);
  command = agent->add_subcommand("count", "Count agents");
  command->footer("Examples:\n  credence agent count\n  credence agent count -banned true");
  AddFiltering(*command, Count, action);
  command = agent->add_subcommand("show", "Show one agent");
  command->footer("Examples:\n  credence agent show" + one);
  AddForOne(*command, Show, action);
  command = agent->add_subcommand("evict", "Forget an agent, banned or not; it may attest again");
  command->footer("Examples:\n  credence agent evict" + one);
  AddForOne(*command, Evict, action);
  command = agent->add_subcommand("ban", "Shut an agent out until it is evicted");
  command->footer("Examples:\n  credence agent ban" + one);
  AddForOne(*command, Ban, action);
}

}  // namespace credence
