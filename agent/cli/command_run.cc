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
#include "agent/cli/output.h"
#include "base/core/secret_bytes.h"

namespace credence {
namespace {

ExitCode ExitCodeForEnd(const Error& error) {
  switch (error.code()) {
    case Code::kPermissionDenied:
      return ExitCode::kDenied;
    case Code::kInvalidArgument:
    case Code::kNotFound:
    case Code::kFailedPrecondition:
      return ExitCode::kBadConfiguration;
    default:
      return ExitCode::kFailed;
  }
}

ExitCode RunAgent(const RunFlags& flags) {
  std::vector<std::string> warnings;
  if (std::string missing = ProtectProcessMemory(); !missing.empty()) {
    warnings.push_back(std::move(missing));
  }
  AgentConfigOutcome outcome =
      LoadAgentConfig(flags.config, flags.overrides, flags.expand_environment);
  if (!outcome.config) {
    for (const ConfigMistake& mistake : outcome.mistakes) {
      ReportError(mistake.ToString());
    }
    return ExitCode::kBadConfiguration;
  }
  Agent agent(*std::move(outcome.config), std::move(warnings));
  const auto ended = agent.Run();
  if (!ended.ok()) {
    ReportError(ended.error().message());
    return ExitCodeForEnd(ended.error());
  }
  return ExitCode::kOk;
}

}  // namespace

void AddRunCommand(CLI::App& app, const std::shared_ptr<Action>& action) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* command = app.add_subcommand("run", "Run the agent");
  command->footer(
      "Examples:\n"
      "  credence run -config /etc/credence/agent.conf\n"
      "  credence run -config agent.conf -joinToken 2f8a... -logLevel DEBUG\n"
      "Signals: SIGTERM stops it, SIGHUP reads the resources again, SIGUSR2 opens the logs again.");
  flags->AddTo(*command);
  command->callback([flags, action] { *action = [flags] { return RunAgent(*flags); }; });
}

}  // namespace credence
