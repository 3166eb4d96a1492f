#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "agent/cli/child_process.h"
#include "agent/cli/commands.h"
#include "agent/cli/common_flags.h"
#include "agent/cli/delivered.h"
#include "agent/cli/held_state.h"
#include "agent/cli/private_folder.h"
#include "base/core/clock.h"

namespace credence {
namespace {

using credential::v1::GetCredentialRequest;

constexpr int kCommandNotFound = 127;
constexpr int kCommandNotExecutable = 126;
constexpr int kEndedBySignal = 128;

struct ExecOptions {
  AgentFlags agent;
  std::vector<std::string> destinations;
  std::vector<std::string> command;
  /// Words that stand before "--", where no command belongs.
  std::vector<std::string> misplaced;
  OutputFormat format = OutputFormat::kHuman;
};

CallOutcome<credential::v1::GetCredentialResponse> Ask(const AgentClient& client,
                                                       const std::string& destination,
                                                       const std::vector<int>& interrupts) {
  GetCredentialRequest request;
  request.set_destination(destination);
  return client.GetCredential(request, interrupts);
}

/// Gets the credential again and puts it where the command finds it. A failure is said and tried
/// again: the command still has the old one. Returns early when `child` needs attention.
void Refresh(const AgentClient& client,
             const ChildProcess& child,
             const PrivateFolder* folder,
             Delivered& delivered) {
  const auto outcome = Ask(client, delivered.destination(), child.events());
  if (!outcome.reply && outcome.refused.error.code() == Code::kCancelled) {
    delivered.AskAgainSoon();
    return;
  }
  if (!outcome.reply) {
    const std::string old_end = DescribeTime(delivered.credential().expires_at());
    ReportError(fmt::format("{} was not refreshed: {}; the old one ends {}; next try in {}",
                            delivered.destination(),
                            outcome.refused.error.message(),
                            old_end,
                            FormatDuration(delivered.PutOff())));
    return;
  }
  if (delivered.Renew(outcome.reply)) {
    ReportError(fmt::format(
        "{} has a new credential; the running command keeps the variables it started with",
        delivered.destination()));
  }
  if (folder != nullptr) {
    if (const auto written = WriteFiles(*folder, delivered); !written.ok()) {
      ReportError(fmt::format("{} was not refreshed: {}; next try in {}",
                              delivered.destination(),
                              written.error().message(),
                              FormatDuration(delivered.PutOff())));
    }
  }
}

/// Waits for the command's end, refreshing what it uses.
int Supervise(ChildProcess child,
              const AgentClient& client,
              const PrivateFolder* folder,
              std::vector<Delivered>& all) {
  while (true) {
    Delivered& next =
        *std::min_element(all.begin(), all.end(), [](const Delivered& a, const Delivered& b) {
          return a.Left() < b.Left();
        });
    if (const auto exit_code = child.Wait(next.Left())) {
      return *exit_code;
    }
    if (next.Left() <= std::chrono::nanoseconds(0)) {
      Refresh(client, child, folder, next);
    }
  }
}

/// The folder with every destination's files; none if there are no files.
Result<std::optional<PrivateFolder>> MakeFolder(const std::vector<Delivered>& all) {
  std::optional<PrivateFolder> folder;
  for (const Delivered& delivered : all) {
    if (delivered.credential().delivery().files_size() == 0) {
      continue;
    }
    if (!folder) {
      auto created = PrivateFolder::Create();
      if (!created.ok()) {
        return std::move(created).error();
      }
      folder.emplace(*std::move(created));
    }
    if (auto written = WriteFiles(*folder, delivered); !written.ok()) {
      return std::move(written).error();
    }
  }
  return folder;
}

Result<ChildProcess> StartCommand(const ExecOptions& options,
                                  const HeldState& held,
                                  const SecretVariables& variables,
                                  const std::vector<Delivered>& all) {
  std::set<std::string> unset;
  for (const Delivered& delivered : all) {
    const auto& names = delivered.credential().delivery().unset();
    unset.insert(names.begin(), names.end());
  }
  return ChildProcess::Start(options.command, variables.values, unset, held);
}

int Run(const AgentClient& client,
        const ExecOptions& options,
        const HeldState& held,
        std::vector<Delivered>& all) {
  const auto folder = MakeFolder(all);
  if (!folder.ok()) {
    ReportError(folder.error(), options.format);
    return static_cast<int>(ExitCode::kFailed);
  }
  const PrivateFolder* const where = *folder ? &**folder : nullptr;
  std::optional<Result<ChildProcess>> child;
  {
    const auto variables = VariablesOf(all, where);
    if (!variables.ok()) {
      ReportError(variables.error(), options.format);
      return static_cast<int>(ExitCode::kBadUsage);
    }
    // The terminal sent it to us alone: the command was not there yet.
    if (const auto signal_number = held.EndingSignal()) {
      return kEndedBySignal + *signal_number;
    }
    child = StartCommand(options, held, *variables, all);
  }
  if (!child->ok()) {
    ReportError(child->error(), options.format);
    return child->error().code() == Code::kNotFound ? kCommandNotFound : kCommandNotExecutable;
  }
  return Supervise(std::move(*child).value(), client, where, all);
}

ExitCode Exec(const ExecOptions& options) {
  if (options.command.empty() || !options.misplaced.empty()) {
    ReportError(
        Error(Code::kInvalidArgument,
              "write the command after --, as in `credence exec --destination NAME -- CMD`"),
        options.format);
    return ExitCode::kBadUsage;
  }
  // Before the client starts threads, and before there is a secret.
  const HeldState held;
  const auto client = options.agent.Connect();
  if (!client.ok()) {
    ReportError(client.error(), options.format);
    return ExitCode::kBadUsage;
  }
  std::vector<Delivered> all;
  for (const std::string& destination : options.destinations) {
    const auto outcome = Ask(*client, destination, {held.ending_fd()});
    if (const auto signal_number = held.EndingSignal()) {
      return static_cast<ExitCode>(kEndedBySignal + *signal_number);
    }
    if (!outcome.reply) {
      return ReportRefusal(outcome.refused, options.format);
    }
    all.emplace_back(destination, outcome.reply);
  }
  // The command's own exit code is passed on; it need not be one of ours.
  return static_cast<ExitCode>(Run(*client, options, held, all));
}

}  // namespace

void AddExecCommand(CLI::App& app,
                    const std::shared_ptr<Action>& action,
                    std::vector<std::string> words) {
  auto options = std::make_shared<ExecOptions>();
  options->command = std::move(words);
  CLI::App* command = app.add_subcommand(
      "exec", "Run a command that finds its credentials as its SDK expects them");
  command->footer(
      "Examples:\n"
      "  credence exec --destination kv-demo -- sh -c 'curl -H \"X-Vault-Token: $VAULT_TOKEN\" "
      "$VAULT_ADDR/v1/secret/data/app'\n"
      "  credence exec --destination claude -- python app.py\n"
      "  credence exec --output json -d kv-demo -- CMD        a refusal as JSON on standard "
      "output\n"
      "Files stand in a folder that only this user can read, are kept fresh while the command "
      "lives and removed after.\n"
      "The exit code is the command's; 126 and 127 mean that it could not be run.");
  command
      ->add_option(
          "--destination,-d", options->destinations, "Destination to deliver; may be repeated")
      ->required()
      ->allow_extra_args(false);
  command->add_option("CMD", options->misplaced, "Command and arguments, after --");
  command->prefix_command(false);
  AddOutputFlag(*command, options->format, "Form of a refusal: human or json");
  options->agent.AddTo(*command);
  command->callback([options, action] { *action = [options] { return Exec(*options); }; });
}

}  // namespace credence
