#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/cli/exit_code.h"

namespace CLI {
class App;
}  // namespace CLI

namespace credence {

/// What a parsed command line will do. Set by the command that was named.
using Action = std::function<ExitCode()>;

/// Each adds one subcommand to `app`; parsing it sets `*action`.
void AddRunCommand(CLI::App& app, const std::shared_ptr<Action>& action);
/// The agent and a trust authority of its own, in one command.
void AddUpCommand(CLI::App& app, const std::shared_ptr<Action>& action);
void AddAuthorityCommand(CLI::App& app, const std::shared_ptr<Action>& action);
/// What to enter at a vendor, and the resource file of a destination.
void AddSetupCommand(CLI::App& app, const std::shared_ptr<Action>& action);
void AddCheckCommand(CLI::App& app, const std::shared_ptr<Action>& action);
void AddGetCommand(CLI::App& app, const std::shared_ptr<Action>& action);
/// `words` is the command to run; CLI11 must not see it, since it changes words such as "[a,b]".
void AddExecCommand(CLI::App& app,
                    const std::shared_ptr<Action>& action,
                    std::vector<std::string> words);
void AddListCommand(CLI::App& app, const std::shared_ptr<Action>& action);
void AddStatusCommand(CLI::App& app, const std::shared_ptr<Action>& action);
void AddAuditCommand(CLI::App& app, const std::shared_ptr<Action>& action);
/// The operator's, by the names of spire-server: they ask the authority, not the agent.
void AddEntryCommand(CLI::App& app, const std::shared_ptr<Action>& action);
void AddTokenCommand(CLI::App& app, const std::shared_ptr<Action>& action);
void AddAgentCommand(CLI::App& app, const std::shared_ptr<Action>& action);
void AddBundleCommand(CLI::App& app, const std::shared_ptr<Action>& action);
void AddFederationCommand(CLI::App& app, const std::shared_ptr<Action>& action);
void AddJwksCommand(CLI::App& app, const std::shared_ptr<Action>& action);
/// The scripts follow what is in `app` when it runs.
void AddCompletionCommand(CLI::App& app, const std::shared_ptr<Action>& action);
void AddVersionCommand(CLI::App& app, const std::shared_ptr<Action>& action);
/// All of them.
void AddCommands(CLI::App& app,
                 const std::shared_ptr<Action>& action,
                 std::vector<std::string> words_of_exec = {});

}  // namespace credence
