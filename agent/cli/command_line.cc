#include "agent/cli/command_line.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <memory>
#include <sstream>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "agent/app/version.h"
#include "agent/cli/commands.h"
#include "agent/cli/output.h"
#include "agent/cli/single_dash.h"

namespace credence {
namespace {

constexpr const char* kDescription =
    "Credence attests the processes of this machine, gives them the SVIDs that a SPIRE server "
    "or the authority of\n"
    "`credence up` issued for them, and trades their JWT-SVIDs for short-lived credentials of "
    "other systems.";
constexpr const char* kFooter =
    "Exit codes: 0 done, 1 failed, 2 bad usage, 3 bad configuration, 4 denied, 5 unavailable (try "
    "again).\n"
    "`credence COMMAND --help` shows examples. Long flags may have one dash, as SPIRE writes them.";

/// Which arguments the named command does not take; CLI11 says them in a muddled order.
ExitCode ExplainExtras(const CLI::App& app) {
  std::string command = "credence";
  const CLI::App* named = &app;
  while (!named->get_subcommands().empty()) {
    named = named->get_subcommands().front();
    command += " " + named->get_name();
  }
  ReportError(fmt::format(
      "{} does not take {}; see {} --help", command, fmt::join(app.remaining(true), " "), command));
  return ExitCode::kBadUsage;
}

/// Help that was asked for, or what is wrong with the arguments.
ExitCode Explain(const CLI::App& app, const CLI::ParseError& error) {
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    return ExplainExtras(app);
  }
  std::ostringstream out;
  std::ostringstream complaint;
  const bool helped = app.exit(error, out, complaint) == 0;
  std::fwrite(out.view().data(), 1, out.view().size(), stdout);
  std::fwrite(complaint.view().data(), 1, complaint.view().size(), stderr);
  return helped ? ExitCode::kOk : ExitCode::kBadUsage;
}

/// Takes the "--" of exec and the words behind it out of `arguments` and returns the words.
std::vector<std::string> TakeWordsOfExec(std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments[0] != "exec") {
    return {};
  }
  const auto mark = std::find(arguments.begin(), arguments.end(), "--");
  if (mark == arguments.end()) {
    return {};
  }
  std::vector<std::string> words(std::next(mark), arguments.end());
  arguments.erase(mark, arguments.end());
  return words;
}

ExitCode Perform(CLI::App& app,
                 const std::shared_ptr<Action>& action,
                 std::vector<std::string> arguments) {
  app.footer(kFooter);
  app.require_subcommand(1);
  app.set_version_flag("--version", fmt::format("credence {}", kVersion), "Print the version");
  AddCommands(app, action, TakeWordsOfExec(arguments));
  arguments = WithDoubleDashes(std::move(arguments));
  // CLI11 takes its arguments from the back.
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::ParseError& error) {
    return Explain(app, error);
  }
  return (*action)();
}

}  // namespace

void AddCommands(CLI::App& app,
                 const std::shared_ptr<Action>& action,
                 std::vector<std::string> words_of_exec) {
  AddUpCommand(app, action);
  AddRunCommand(app, action);
  AddAuthorityCommand(app, action);
  AddSetupCommand(app, action);
  AddCheckCommand(app, action);
  AddGetCommand(app, action);
  AddExecCommand(app, action, std::move(words_of_exec));
  AddListCommand(app, action);
  AddStatusCommand(app, action);
  AddAuditCommand(app, action);
  AddEntryCommand(app, action);
  AddTokenCommand(app, action);
  AddAgentCommand(app, action);
  AddBundleCommand(app, action);
  AddFederationCommand(app, action);
  AddJwksCommand(app, action);
  AddCompletionCommand(app, action);
  AddVersionCommand(app, action);
}

int RunCommandLine(const std::vector<std::string>& arguments) {
  CLI::App app(kDescription, "credence");
  const ExitCode exit_code = Perform(app, std::make_shared<Action>(), arguments);
  // An agent that was told to stop has stopped, whatever became of its log.
  const bool is_agent = !arguments.empty() && (arguments[0] == "run" || arguments[0] == "up");
  if (const auto finished = FinishOutput();
      exit_code == ExitCode::kOk && !is_agent && !finished.ok()) {
    ReportError(finished.error().message());
    return static_cast<int>(ExitCode::kFailed);
  }
  return static_cast<int>(exit_code);
}

}  // namespace credence
