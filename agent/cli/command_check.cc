#include <memory>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "agent/cli/agent_flags.h"
#include "agent/cli/commands.h"
#include "agent/cli/common_flags.h"
#include "agent/cli/config_report.h"
#include "agent/config/resources.h"
#include "base/core/clock.h"
#include "base/http/client.h"
#include "plugins/destinations/builtin_adapters.h"

namespace credence {
namespace {

struct CheckOptions {
  RunFlags flags;
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
    PrintLine(mistakes.empty() ? fmt::format("ok: {} destinations, {} grants", destinations, grants)
                               : fmt::format("{} mistakes", mistakes.size()));
  }
  return mistakes.empty() ? ExitCode::kOk : ExitCode::kBadConfiguration;
}

ExitCode Check(const CheckOptions& options) {
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
  CLI::App* command = app.add_subcommand(
      "check", "Check agent.conf and the resources it names, without running anything");
  command->footer(
      "Examples:\n"
      "  credence check -config /etc/credence/agent.conf\n"
      "  credence check -config agent.conf -expandEnv --output json");
  options->flags.AddTo(*command);
  AddOutputFlag(*command, options->format);
  command->callback([options, action] { *action = [options] { return Check(*options); }; });
}

}  // namespace credence
