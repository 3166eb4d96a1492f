#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "agent/cli/commands.h"
#include "agent/cli/output.h"
#include "agent/cli/single_dash.h"
#include "base/core/secret_bytes.h"

namespace credence {
namespace {

constexpr const char* kDescription =
    "Credence attests the processes of this machine, gives them the SVIDs that a SPIRE server "
    "issued for them, and\n"
    "trades their JWT-SVIDs for short-lived credentials of other systems.";
constexpr const char* kFooter =
    "Exit codes: 0 done, 1 failed, 2 bad usage, 3 bad configuration, 4 denied, 5 unavailable (try "
    "again).\n"
    "`credence COMMAND --help` shows examples.";

int Main(const std::vector<std::string>& arguments) {
  CLI::App app(kDescription, "credence");
  app.footer(kFooter);
  app.require_subcommand(1);
  const auto action = std::make_shared<Action>();
  AddRunCommand(app, action);
  AddCheckCommand(app, action);
  AddGetCommand(app, action);
  AddExecCommand(app, action);
  AddListCommand(app, action);
  AddStatusCommand(app, action);
  AddAuditCommand(app, action);
  AddVersionCommand(app, action);
  // CLI11 takes its arguments from the back.
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? static_cast<int>(ExitCode::kOk)
                                : static_cast<int>(ExitCode::kBadUsage);
  }
  return static_cast<int>((*action)());
}

}  // namespace
}  // namespace credence

int main(int argc, char** argv) {
  // An unprivileged caller may have little memory to lock; its secrets then still stay out of core
  // files.
  credence::LockSecretMemory();
  try {
    return credence::Main(
        credence::WithDoubleDashes(std::vector<std::string>(argv + 1, argv + argc)));
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "credence: internal error: %s\n", failure.what());
    return static_cast<int>(credence::ExitCode::kFailed);
  }
}
