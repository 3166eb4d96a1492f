#include <memory>
#include <utility>

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <fmt/format.h>

#include "agent/cli/commands.h"
#include "agent/cli/common_flags.h"
#include "base/core/clock.h"

namespace credence {
namespace {

struct ListOptions {
  AgentFlags agent;
  OutputFormat format = OutputFormat::kHuman;
};

std::string GrantExpiry(const credential::v1::DestinationSummary& destination) {
  return destination.grant_expires_at() == 0
             ? ""
             : FormatRfc3339(FromUnixSeconds(destination.grant_expires_at()));
}

void PrintListJson(const credential::v1::ListDestinationsResponse& reply) {
  boost::json::array destinations;
  for (const auto& destination : reply.destinations()) {
    destinations.push_back({{"name", destination.name()},
                            {"adapter", destination.adapter()},
                            {"grant", destination.grant()},
                            {"spiffe_id", destination.spiffe_id()},
                            {"max_ttl_seconds", destination.max_ttl_seconds()},
                            {"grant_expires_at", GrantExpiry(destination)}});
  }
  PrintJson({{"destinations", std::move(destinations)}});
}

void PrintListTable(const credential::v1::ListDestinationsResponse& reply) {
  if (reply.destinations().empty()) {
    PrintLine("No grant gives this process a destination.");
    return;
  }
  PrintLine(fmt::format("{:<24} {:<12} {:<28} {}", "NAME", "ADAPTER", "GRANT", "SPIFFE ID"));
  for (const auto& destination : reply.destinations()) {
    const std::string expiry = GrantExpiry(destination);
    PrintLine(fmt::format("{:<24} {:<12} {:<28} {}{}",
                          destination.name(),
                          destination.adapter(),
                          destination.grant(),
                          destination.spiffe_id(),
                          expiry.empty() ? "" : "  (grant ends " + expiry + ")"));
  }
}

ExitCode List(const ListOptions& options) {
  const auto client = options.agent.Connect();
  if (!client.ok()) {
    ReportError(client.error(), options.format);
    return ExitCode::kBadUsage;
  }
  const auto outcome = client->ListDestinations();
  if (!outcome.reply) {
    return ReportRefusal(outcome.refused, options.format);
  }
  if (options.format == OutputFormat::kJson) {
    PrintListJson(*outcome.reply);
  } else {
    PrintListTable(*outcome.reply);
  }
  return ExitCode::kOk;
}

}  // namespace

void AddListCommand(CLI::App& app, const std::shared_ptr<Action>& action) {
  auto options = std::make_shared<ListOptions>();
  CLI::App* command = app.add_subcommand("list", "List the destinations that this process may use");
  command->footer("Examples:\n  credence list\n  credence list --output json");
  AddOutputFlag(*command, options->format);
  options->agent.AddTo(*command);
  command->callback([options, action] { *action = [options] { return List(*options); }; });
}

}  // namespace credence
