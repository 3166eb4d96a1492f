#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "agent/cli/authority/asking_command.h"
#include "agent/cli/authority/selector_flags.h"
#include "agent/cli/commands.h"
#include "agent/cli/setup/setup_run.h"
#include "base/core/clock.h"
#include "base/http/client.h"
#include "plugins/destinations/builtin_adapters.h"

namespace credence {
namespace {

Result<ExitCode> Setup(const SetupOptions& options) {
  HttpClient http;
  const SystemClock clock;
  const auto adapters = BuiltinAdapters(http, clock);
  AdapterList list;
  std::vector<std::string_view> names;
  const DestinationAdapter* chosen = nullptr;
  for (const auto& adapter : adapters) {
    list.push_back(adapter.get());
    names.push_back(adapter->name());
    chosen = adapter->name() == options.adapter ? adapter.get() : chosen;
  }
  if (chosen == nullptr) {
    return Error(
        Code::kInvalidArgument,
        fmt::format(
            "there is no adapter \"{}\": expected {}", options.adapter, fmt::join(names, " or ")));
  }
  return SetupRun(options, *chosen, std::move(list)).Run();
}

}  // namespace

void AddSetupCommand(CLI::App& app, const std::shared_ptr<Action>& action) {
  auto options = std::make_shared<SetupOptions>();
  CLI::App* command = app.add_subcommand(
      "setup", "Give a workload a destination: what to enter at the vendor, and the resource file");
  command->footer(
      "Examples:\n"
      "  credence setup anthropic     asks for what it needs\n"
      "  credence setup openbao -name kv -spiffeID spiffe://example.org/web -selector "
      "unix:user:web "
      "-set address=https://bao.example:8200 -set role=web -set audience=openbao -yes\n"
      "It never replaces a file without -force. What is missing and cannot be asked for is said "
      "after what the vendor needs.");
  command->add_option("ADAPTER", options->adapter, "Kind of destination: anthropic or openbao")
      ->required();
  AddRepeatable(*command, "--set", options->settings, "Setting NAME=VALUE (repeatable)");
  command->add_option(
      "--name", options->name, "Name of the destination; that of the adapter by default");
  command->add_option(
      "--spiffeID", options->spiffe_id, "SPIFFE ID of the workload that may use it");
  AddRepeatable(*command,
                "--selector",
                options->selectors,
                "Selector that the workload must have beside the SPIFFE ID (repeatable)");
  command->add_option(
      "--issuer", options->issuer, "The iss of JWT-SVIDs; that of `credence up` by default");
  command->add_option("--resources",
                      options->resources,
                      "Folder of the agent's resources; that of `credence up` by default");
  command->add_flag("--yes", options->yes, "Write without asking");
  command->add_flag("--force", options->force, "Replace the file if it is there");
  FinishCommand(*command, options, Setup, action);
}

}  // namespace credence
