#include <algorithm>
#include <chrono>
#include <map>
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
#include "agent/cli/private_folder.h"
#include "base/core/backoff.h"
#include "base/core/clock.h"
#include "base/core/secret_bytes.h"

namespace credence {
namespace {

using credential::v1::GetCredentialRequest;
using credential::v1::GetCredentialResponse;

constexpr int kCommandNotFound = 127;
constexpr int kCommandNotExecutable = 126;
constexpr std::chrono::seconds kFirstRetry{2};
constexpr std::chrono::seconds kLongestRetry{60};
constexpr std::chrono::seconds kLeastRefresh{1};

struct ExecOptions {
  AgentFlags agent;
  std::vector<std::string> destinations;
  std::vector<std::string> command;
};

/// One destination as the command sees it.
struct Delivered {
  std::string destination;
  GetCredentialResponse credential;
  Deadline refresh_at = Deadline::After(std::chrono::seconds(0));
  Backoff backoff{{.initial = kFirstRetry, .cap = kLongestRetry}};
  bool said_that_variables_stay = false;
};

Deadline RefreshTime(const GetCredentialResponse& credential) {
  const WallTime now = SystemClock().Now();
  return Deadline::After(
      std::max<WallTime::duration>(FromUnixSeconds(credential.refresh_at()) - now, kLeastRefresh));
}

/// "{{dir}}" in a variable is the destination's own folder.
std::string FillIn(std::string value, const std::string& folder) {
  constexpr std::string_view kMark = "{{dir}}";
  for (std::size_t at = value.find(kMark); at != std::string::npos;
       at = value.find(kMark, at + folder.size())) {
    value.replace(at, kMark.size(), folder);
  }
  return value;
}

Result<void> WriteFiles(const PrivateFolder& folder, const Delivered& delivered) {
  for (const auto& file : delivered.credential.delivery().files()) {
    auto written = folder.Write(
        delivered.destination + "/" + file.path(), file.content(), file.mode() & 0777U);
    if (!written.ok()) {
      return written;
    }
  }
  return Ok();
}

/// The environment of the command. Errors: kInvalidArgument when two destinations want one
/// variable.
Result<std::map<std::string, std::string>> Variables(const std::vector<Delivered>& all,
                                                     const PrivateFolder* folder) {
  std::map<std::string, std::string> variables;
  std::map<std::string, std::string> set_by;
  for (const Delivered& delivered : all) {
    const std::string own_folder =
        folder == nullptr ? "" : folder->path() + "/" + delivered.destination;
    for (const auto& [name, value] : delivered.credential.delivery().env()) {
      if (const auto [other, fresh] = set_by.emplace(name, delivered.destination); !fresh) {
        return Error(
            Code::kInvalidArgument,
            fmt::format("{} and {} both set {}: run them one inside the other, or one at a time",
                        other->second,
                        delivered.destination,
                        name));
      }
      variables[name] = FillIn(value, own_folder);
    }
  }
  return variables;
}

/// Gets the credential again and puts it where the command finds it. A failure is said and tried
/// again: the command still has the old one.
void Refresh(AgentClient& client, const PrivateFolder* folder, Delivered& delivered) {
  GetCredentialRequest request;
  request.set_destination(delivered.destination);
  const auto outcome = client.GetCredential(request);
  if (!outcome.reply) {
    const auto wait = delivered.backoff.Next();
    ReportError(fmt::format("{} was not refreshed: {}; the old one ends {}; next try in {}",
                            delivered.destination,
                            outcome.refused.error.message(),
                            DescribeTime(delivered.credential.expires_at()),
                            FormatDuration(wait)));
    delivered.refresh_at = Deadline::After(wait);
    return;
  }
  delivered.backoff.Reset();
  const auto& old_variables = delivered.credential.delivery().env();
  const auto& new_variables = outcome.reply->delivery().env();
  const bool differs =
      std::any_of(new_variables.begin(), new_variables.end(), [&](const auto& variable) {
        const auto old = old_variables.find(variable.first);
        return old == old_variables.end() || old->second != variable.second;
      });
  if (differs && !std::exchange(delivered.said_that_variables_stay, true)) {
    ReportError(fmt::format(
        "{} has a new credential; the running command keeps the variables it started with",
        delivered.destination));
  }
  delivered.credential = *outcome.reply;
  delivered.refresh_at = RefreshTime(delivered.credential);
  if (folder != nullptr) {
    if (const auto written = WriteFiles(*folder, delivered); !written.ok()) {
      ReportError(fmt::format(
          "{} was not refreshed: {}", delivered.destination, written.error().message()));
      delivered.refresh_at = Deadline::After(delivered.backoff.Next());
    }
  }
}

/// Waits for the command's end, refreshing what it uses.
int Supervise(ChildProcess child,
              AgentClient& client,
              const PrivateFolder* folder,
              std::vector<Delivered>& all) {
  while (true) {
    Delivered& next =
        *std::min_element(all.begin(), all.end(), [](const Delivered& a, const Delivered& b) {
          return a.refresh_at.time() < b.refresh_at.time();
        });
    if (const auto exit_code = child.Wait(next.refresh_at)) {
      return *exit_code;
    }
    Refresh(client, folder, next);
  }
}

int Run(AgentClient& client,
        const ExecOptions& options,
        const HeldSignals& held,
        std::vector<Delivered>& all) {
  std::optional<PrivateFolder> folder;
  const bool wants_files = std::any_of(all.begin(), all.end(), [](const Delivered& delivered) {
    return delivered.credential.delivery().files_size() > 0;
  });
  if (wants_files) {
    auto created = PrivateFolder::Create();
    if (!created.ok()) {
      ReportError(created.error().message());
      return static_cast<int>(ExitCode::kFailed);
    }
    folder.emplace(*std::move(created));
  }
  const PrivateFolder* const where = folder ? &*folder : nullptr;
  std::set<std::string> unset;
  for (const Delivered& delivered : all) {
    const auto& names = delivered.credential.delivery().unset();
    unset.insert(names.begin(), names.end());
    if (where != nullptr) {
      if (const auto written = WriteFiles(*where, delivered); !written.ok()) {
        ReportError(written.error().message());
        return static_cast<int>(ExitCode::kFailed);
      }
    }
  }
  const auto variables = Variables(all, where);
  if (!variables.ok()) {
    ReportError(variables.error().message());
    return static_cast<int>(ExitCode::kBadUsage);
  }
  auto child = ChildProcess::Start(options.command, *variables, unset, held);
  if (!child.ok()) {
    ReportError(child.error().message());
    return child.error().code() == Code::kNotFound ? kCommandNotFound : kCommandNotExecutable;
  }
  // Only now: the command keeps the limit that its user set.
  TurnCoreDumpsOff();
  return Supervise(*std::move(child), client, where, all);
}

ExitCode Exec(const ExecOptions& options) {
  // Before the client starts threads.
  const HeldSignals held;
  auto client = options.agent.Connect();
  if (!client.ok()) {
    ReportError(client.error().message());
    return ExitCode::kBadUsage;
  }
  std::vector<Delivered> all;
  for (const std::string& destination : options.destinations) {
    GetCredentialRequest request;
    request.set_destination(destination);
    const auto outcome = client->GetCredential(request);
    if (!outcome.reply) {
      return ReportRefusal(outcome.refused, OutputFormat::kHuman);
    }
    Delivered delivered;
    delivered.destination = destination;
    delivered.credential = *outcome.reply;
    delivered.refresh_at = RefreshTime(delivered.credential);
    all.push_back(std::move(delivered));
  }
  // The command's own exit code is passed on; it need not be one of ours.
  return static_cast<ExitCode>(Run(*client, options, held, all));
}

}  // namespace

void AddExecCommand(CLI::App& app, const std::shared_ptr<Action>& action) {
  auto options = std::make_shared<ExecOptions>();
  CLI::App* command = app.add_subcommand(
      "exec", "Run a command that finds its credentials as its SDK expects them");
  command->footer(
      "Examples:\n"
      "  credence exec --destination kv-demo -- sh -c 'curl -H \"X-Vault-Token: $VAULT_TOKEN\" "
      "$VAULT_ADDR/v1/secret/data/app'\n"
      "  credence exec --destination claude -- python app.py\n"
      "Files stand in a folder that only this user can read, are kept fresh while the command "
      "lives and removed after.\n"
      "The exit code is the command's; 126 and 127 mean that it could not be run.");
  command
      ->add_option(
          "--destination,-d", options->destinations, "Destination to deliver; may be repeated")
      ->required()
      ->allow_extra_args(false);
  command->add_option("CMD", options->command, "Command and arguments, after --")->required();
  command->prefix_command(false);
  options->agent.AddTo(*command);
  command->callback([options, action] { *action = [options] { return Exec(*options); }; });
}

}  // namespace credence
