#include <memory>
#include <utility>

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <fmt/format.h>

#include "agent/cli/commands.h"
#include "agent/cli/common_flags.h"
#include "base/core/clock.h"
#include "base/rpc/foreign_text.h"

namespace credence {
namespace {

using credential::v1::GetStatusResponse;

struct StatusOptions {
  AgentFlags agent;
  OutputFormat format = OutputFormat::kHuman;
};

std::string JsonTime(std::int64_t unix_seconds) {
  return unix_seconds == 0 ? "" : FormatRfc3339(FromUnixSeconds(unix_seconds));
}

boost::json::array ToArray(const google::protobuf::RepeatedPtrField<std::string>& texts) {
  boost::json::array array;
  for (const std::string& text : texts) {
    array.emplace_back(text);
  }
  return array;
}

void PrintStatusJson(const GetStatusResponse& status) {
  PrintJson({{"version", status.version()},
             {"trust_domain", status.trust_domain()},
             {"agent_id", status.agent_id()},
             {"agent_svid_expires_at", JsonTime(status.agent_svid_expires_at())},
             {"server_address", status.server_address()},
             {"last_sync_at", JsonTime(status.last_sync_at())},
             {"sync_error", status.sync_error()},
             {"started_at", JsonTime(status.started_at())},
             {"entries", status.entries()},
             {"x509_svids", status.x509_svids()},
             {"jwt_svids", status.jwt_svids()},
             {"destinations", status.destinations()},
             {"grants", status.grants()},
             {"resource_errors", ToArray(status.resource_errors())},
             {"audit_error", status.audit_error()},
             {"assurance", status.assurance()},
             {"connections", status.connections()},
             {"streams", status.streams()},
             {"warnings", ToArray(status.warnings())}});
}

void PrintStatusText(const GetStatusResponse& status) {
  const auto row = [](std::string_view name, const std::string& value) {
    PrintLine(fmt::format("{:<14} {}", name, ForeignText(value)));
  };
  row("version", status.version());
  row("started", DescribeTime(status.started_at()));
  row("trust domain", status.trust_domain());
  row("server", status.server_address());
  row("agent", status.agent_id().empty() ? "not attested yet" : status.agent_id());
  row("agent SVID", "expires " + DescribeTime(status.agent_svid_expires_at()));
  row("last sync", DescribeTime(status.last_sync_at()));
  if (!status.sync_error().empty()) {
    row("sync error", status.sync_error());
  }
  row("identities",
      fmt::format("{} entries, {} X509-SVIDs, {} JWT-SVIDs",
                  status.entries(),
                  status.x509_svids(),
                  status.jwt_svids()));
  row("policy", fmt::format("{} destinations, {} grants", status.destinations(), status.grants()));
  for (const std::string& error : status.resource_errors()) {
    row("policy error", error);
  }
  row("audit log", status.audit_error().empty() ? "ok" : status.audit_error());
  row("callers",
      fmt::format("{}; {} connections, {} calls",
                  status.assurance(),
                  status.connections(),
                  status.streams()));
  for (const std::string& warning : status.warnings()) {
    row("warning", warning);
  }
}

ExitCode Status(const StatusOptions& options) {
  const auto client = options.agent.Connect();
  if (!client.ok()) {
    ReportError(client.error(), options.format);
    return ExitCode::kBadUsage;
  }
  const auto outcome = client->GetStatus();
  if (!outcome.reply) {
    return ReportRefusal(outcome.refused, options.format);
  }
  if (options.format == OutputFormat::kJson) {
    PrintStatusJson(*outcome.reply);
  } else {
    PrintStatusText(*outcome.reply);
  }
  return ExitCode::kOk;
}

}  // namespace

void AddStatusCommand(CLI::App& app, const std::shared_ptr<Action>& action) {
  auto options = std::make_shared<StatusOptions>();
  CLI::App* command = app.add_subcommand("status", "Show how the running agent is doing");
  command->footer("Examples:\n  credence status\n  credence status --output json");
  AddOutputFlag(*command, options->format);
  options->agent.AddTo(*command);
  command->callback([options, action] { *action = [options] { return Status(*options); }; });
}

}  // namespace credence
