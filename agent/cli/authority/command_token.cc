#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>

#include "agent/cli/authority/asking_command.h"
#include "agent/cli/authority/authority_flags.h"
#include "agent/cli/authority/server_output.h"
#include "agent/cli/authority/wire_types.h"
#include "agent/cli/commands.h"
#include "base/rpc/foreign_text.h"

#include "spire/api/server/agent/v1/agent.grpc.pb.h"

namespace credence {
namespace {

using AgentStub = spire::api::server::agent::v1::Agent::Stub;

struct TokenOptions {
  AuthorityFlags authority;
  std::string spiffe_id;
  std::int32_t ttl = 600;
};

Result<ExitCode> Generate(const TokenOptions& options) {
  spire::api::server::agent::v1::CreateJoinTokenRequest request;
  request.set_ttl(options.ttl);
  if (!options.spiffe_id.empty()) {
    auto id = WireId("-spiffeID", options.spiffe_id);
    if (!id.ok()) {
      return std::move(id).error();
    }
    *request.mutable_agent_id() = *std::move(id);
  }
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  const auto token = client->Call(&AgentStub::CreateJoinToken, request);
  if (!token.ok()) {
    return token.error();
  }
  if (options.authority.format == OutputFormat::kJson) {
    PrintMessageJson(*token);
    return ExitCode::kOk;
  }
  PrintLine("Token: " + ForeignText(token->value()));
  if (options.spiffe_id.empty()) {
    PrintLine("Warning: Missing SPIFFE ID.");
  }
  return ExitCode::kOk;
}

}  // namespace

void AddTokenCommand(CLI::App& app, const std::shared_ptr<Action>& action) {
  CLI::App* token = app.add_subcommand("token", "Join tokens: each lets one agent join once");
  token->footer(
      "Examples:\n"
      "  credence token generate -spiffeID spiffe://example.org/node/web1");
  token->require_subcommand(1);

  auto options = std::make_shared<TokenOptions>();
  CLI::App* generate = token->add_subcommand("generate", "Make a join token");
  generate->footer(
      "Examples:\n"
      "  credence token generate -spiffeID spiffe://example.org/node/web1\n"
      "  credence token generate -spiffeID spiffe://example.org/node/web1 -ttl 60 -output json\n"
      "Whoever reads the token first can join in its place: hand it over like a password.");
  generate->add_option(
      "--spiffeID",
      options->spiffe_id,
      "SPIFFE ID that entries can name as the parent, whichever ID the agent gets");
  generate->add_option("--ttl", options->ttl, "Seconds until the token expires")
      ->check(CLI::Range(std::int32_t{1}, std::numeric_limits<std::int32_t>::max()).description(""))
      ->type_name("SECONDS")
      ->capture_default_str();
  FinishCommand(*generate, options, Generate, action);
}

}  // namespace credence
