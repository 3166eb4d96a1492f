#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "agent/cli/agent_flags.h"
#include "agent/cli/check/destination_check.h"
#include "agent/cli/commands.h"
#include "agent/cli/common_flags.h"
#include "agent/cli/config_report.h"
#include "agent/config/resources.h"
#include "base/core/clock.h"
#include "base/core/secret_bytes.h"
#include "base/http/client.h"
#include "plugins/destinations/builtin_adapters.h"

namespace credence {
namespace {

struct CheckOptions {
  RunFlags flags;
  AgentFlags agent;
  DestinationCheckOptions check;
  OutputFormat format = OutputFormat::kHuman;
};

ExitCode Report(const std::vector<ConfigMistake>& mistakes,
                const Resources* resources,
                OutputFormat format) {
  const std::size_t destinations = resources == nullptr ? 0 : resources->destinations.size();
  const std::size_t grants = resources == nullptr ? 0 : resources->grants.size();
  if (format == OutputFormat::kJson) {
    PrintJson({{"ok", mistakes.empty()},
               {"destinations", destinations},
               {"grants", grants},
               {"mistakes", MistakesAsJson(mistakes)}});
  } else {
    for (const ConfigMistake& mistake : mistakes) {
      PrintLine(mistake.ToString());
    }
    PrintLine(mistakes.empty()
                  ? fmt::format("ok: {} destinations, {} grants", destinations, grants)
                  : fmt::format("{} mistake{}", mistakes.size(), mistakes.size() == 1 ? "" : "s"));
  }
  return mistakes.empty() ? ExitCode::kOk : ExitCode::kBadConfiguration;
}

ExitCode CheckOneDestination(const CheckOptions& options) {
  TurnCoreDumpsOff();
  const auto client = options.agent.Connect();
  if (!client.ok()) {
    ReportError(client.error(), options.format);
    return ExitCode::kBadUsage;
  }
  DestinationCheckOptions check = options.check;
  check.timeout = std::chrono::seconds(options.agent.timeout_seconds);
  const auto findings = CheckDestination(*client, check, SystemClock());
  const bool passed = std::none_of(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.verdict == Verdict::kFailed;
  });
  if (options.format == OutputFormat::kJson) {
    PrintJson(
        {{"ok", passed}, {"destination", check.destination}, {"checks", FindingsAsJson(findings)}});
  } else {
    PrintFindings(findings);
  }
  return passed ? ExitCode::kOk : ExitCode::kFailed;
}

ExitCode CheckConfiguration(const CheckOptions& options) {
  AgentConfigOutcome outcome = LoadAgentConfig(
      options.flags.config, options.flags.overrides, options.flags.expand_environment);
  if (!outcome.config) {
    return Report(outcome.mistakes, nullptr, options.format);
  }
  HttpClient http;
  const SystemClock clock;
  const auto adapters = BuiltinAdapters(http, clock);
  AdapterList list;
  for (const auto& adapter : adapters) {
    list.push_back(adapter.get());
  }
  const ResourcesOutcome resources = LoadResources(outcome.config->credence.resources, list);
  return Report(resources.mistakes, resources.resources.get(), options.format);
}

}  // namespace

void AddCheckCommand(CLI::App& app, const std::shared_ptr<Action>& action) {
  auto options = std::make_shared<CheckOptions>();
  CLI::App* command = app.add_subcommand("check",
                                         "Check all that a destination needs, or agent.conf and "
                                         "its destinations and grants without running "
                                         "anything");
  command->footer(
      "Examples:\n"
      "  credence check kv-demo                      as the workload's user, by the running agent\n"
      "  credence check kv-demo -exchange=false      without asking the vendor for a credential\n"
      "  credence check -config /etc/credence/agent.conf\n"
      "  credence check -config agent.conf -expandEnv --output json");
  CLI::Option* destination = command->add_option(
      "DESTINATION", options->check.destination, "Name of the destination to check");
  options->flags.AddTo(*command);
  destination->excludes("--config");
  command->add_option("--spiffe-id", options->check.spiffe_id, "Use this identity of several")
      ->needs(destination);
  command
      ->add_flag("--exchange",
                 options->check.exchange,
                 "Get a credential as well, unless --exchange=false")
      ->needs(destination);
  options->agent.AddTo(*command);
  AddOutputFlag(*command, options->format);
  command->callback([options, action] {
    *action = [options] {
      return options->check.destination.empty() ? CheckConfiguration(*options)
                                                : CheckOneDestination(*options);
    };
  });
}

}  // namespace credence
