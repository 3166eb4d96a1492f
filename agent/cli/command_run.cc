#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "agent/app/agent.h"
#include "agent/cli/agent_flags.h"
#include "agent/cli/commands.h"
#include "agent/cli/common_flags.h"
#include "agent/cli/config_report.h"
#include "base/core/secret_bytes.h"

namespace credence {
namespace {

ExitCode ExitCodeForEnd(const Result<void>& ended) {
  switch (ended.ok() ? Code::kOk : ended.error().code()) {
    case Code::kOk:
      return ExitCode::kOk;
    case Code::kPermissionDenied:
      return ExitCode::kDenied;
    case Code::kInvalidArgument:
    case Code::kNotFound:
    case Code::kFailedPrecondition:
      return ExitCode::kBadConfiguration;
    case Code::kUnauthenticated:
      return ExitCode::kUnavailable;
    default:
      return ExitCode::kFailed;
  }
}

struct RunOptions {
  RunFlags flags;
  OutputFormat format = OutputFormat::kHuman;
};

ExitCode ReportMistakes(const std::vector<ConfigMistake>& mistakes, OutputFormat format) {
  if (format == OutputFormat::kJson) {
    PrintJson({{"ok", false}, {"mistakes", MistakesAsJson(mistakes)}});
    return ExitCode::kBadConfiguration;
  }
  for (const ConfigMistake& mistake : mistakes) {
    ReportError(mistake.ToString());
  }
  return ExitCode::kBadConfiguration;
}

ExitCode RunAgent(const RunOptions& options) {
  const RunFlags& flags = options.flags;
  std::vector<std::string> warnings;
  if (std::string missing = ProtectProcessMemory(); !missing.empty()) {
    warnings.push_back(std::move(missing));
  }
  AgentConfigOutcome outcome =
      LoadAgentConfig(flags.config, flags.overrides, flags.expand_environment);
  if (!outcome.config) {
    return ReportMistakes(outcome.mistakes, options.format);
  }
  const auto exit_code = [](const Result<void>& ended) {
    return static_cast<int>(ExitCodeForEnd(ended));
  };
  Agent agent(*std::move(outcome.config), std::move(warnings), exit_code);
  const auto ended = agent.Run();
  if (!ended.ok()) {
    ReportError(ended.error().message());
  }
  return ExitCodeForEnd(ended);
}

}  // namespace

void AddRunCommand(CLI::App& app, const std::shared_ptr<Action>& action) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command = app.add_subcommand("run", "Run the agent");
  command->footer(
      "Examples:\n"
      "  credence run -config /etc/credence/agent.conf\n"
      "  credence run -config agent.conf -joinToken 2f8a... -logLevel DEBUG\n"
      "Signals: SIGTERM stops it, SIGHUP reads the resources again, SIGUSR2 opens the logs again.");
  options->flags.AddTo(*command);
  AddOutputFlag(*command, options->format, "Form of configuration mistakes: human or json");
  command->callback([options, action] { *action = [options] { return RunAgent(*options); }; });
}

}  // namespace credence
