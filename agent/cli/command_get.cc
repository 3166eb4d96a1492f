#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/json/object.hpp>
#include <fmt/format.h>

#include "agent/cli/commands.h"
#include "agent/cli/common_flags.h"
#include "base/core/clock.h"
#include "base/core/secret_bytes.h"

namespace credence {
namespace {

enum class CredentialForm { kValue, kEnv, kJson };

struct GetOptions {
  AgentFlags agent;
  std::string destination;
  std::string spiffe_id;
  std::vector<std::string> parameters;
  std::int64_t min_ttl_seconds = 0;
  CredentialForm form = CredentialForm::kValue;
};

Result<credential::v1::GetCredentialRequest> MakeRequest(const GetOptions& options) {
  credential::v1::GetCredentialRequest request;
  request.set_destination(options.destination);
  request.set_spiffe_id(options.spiffe_id);
  request.set_min_ttl_seconds(options.min_ttl_seconds);
  for (const std::string& parameter : options.parameters) {
    const std::size_t equals = parameter.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Error(Code::kInvalidArgument,
                   fmt::format("--param {}: expected NAME=VALUE", parameter));
    }
    (*request.mutable_parameters())[parameter.substr(0, equals)] = parameter.substr(equals + 1);
  }
  return request;
}

void PrintAsJson(const credential::v1::GetCredentialResponse& reply) {
  boost::json::object fields;
  // A protobuf map has no order of its own.
  for (const auto& [name, value] :
       std::map<std::string_view, std::string_view>(reply.fields().begin(), reply.fields().end())) {
    fields[name] = boost::json::string_view(value.data(), value.size());
  }
  PrintJson({{"destination", reply.destination()},
             {"spiffe_id", reply.spiffe_id()},
             {"fields", std::move(fields)},
             {"primary_field", reply.primary_field()},
             {"expires_at", FormatRfc3339(FromUnixSeconds(reply.expires_at()))},
             {"refresh_at", FormatRfc3339(FromUnixSeconds(reply.refresh_at()))},
             {"decision_id", reply.decision_id()},
             {"request_id", reply.request_id()}});
}

ExitCode PrintAsEnv(const credential::v1::GetCredentialResponse& reply) {
  if (reply.delivery().files_size() > 0) {
    ReportError(
        fmt::format("{} is delivered as files, not variables alone: use `credence exec "
                    "--destination {} -- CMD`",
                    reply.destination(),
                    reply.destination()));
    return ExitCode::kBadUsage;
  }
  for (const std::string& name : reply.delivery().unset()) {
    PrintLine("unset " + name);
  }
  const auto& variables = reply.delivery().env();
  for (const auto& [name, value] :
       std::map<std::string_view, std::string_view>(variables.begin(), variables.end())) {
    std::string line = fmt::format("export {}={}", name, ShellQuote(value));
    const WipeOnExit wiped(line);
    PrintLine(line);
  }
  return ExitCode::kOk;
}

ExitCode PrintAsValue(const credential::v1::GetCredentialResponse& reply) {
  const auto field = reply.fields().find(reply.primary_field());
  if (field == reply.fields().end()) {
    ReportError(fmt::format("{} has no value of its own: use --output json", reply.destination()));
    return ExitCode::kFailed;
  }
  PrintLine(field->second);
  return ExitCode::kOk;
}

OutputFormat RefusalFormat(const GetOptions& options) {
  return options.form == CredentialForm::kJson ? OutputFormat::kJson : OutputFormat::kHuman;
}

ExitCode Get(const GetOptions& options) {
  TurnCoreDumpsOff();
  const auto request = MakeRequest(options);
  if (!request.ok()) {
    ReportError(request.error(), RefusalFormat(options));
    return ExitCode::kBadUsage;
  }
  const auto client = options.agent.Connect();
  if (!client.ok()) {
    ReportError(client.error(), RefusalFormat(options));
    return ExitCode::kBadUsage;
  }
  const auto outcome = client->GetCredential(*request);
  if (!outcome.reply) {
    return ReportRefusal(outcome.refused, RefusalFormat(options));
  }
  switch (options.form) {
    case CredentialForm::kValue:
      return PrintAsValue(*outcome.reply);
    case CredentialForm::kEnv:
      return PrintAsEnv(*outcome.reply);
    case CredentialForm::kJson:
      PrintAsJson(*outcome.reply);
      return ExitCode::kOk;
  }
  return ExitCode::kFailed;
}

}  // namespace

void AddGetCommand(CLI::App& app, const std::shared_ptr<Action>& action) {
  auto options = std::make_shared<GetOptions>();
  CLI::App* command = app.add_subcommand("get", "Print a credential of a destination");
  command->footer(
      "Examples:\n"
      "  credence get kv-demo                        the credential alone\n"
      "  eval \"$(credence get kv-demo --output env)\"  as shell variables\n"
      "  credence get kv-demo --min-ttl 120          one that lives two minutes more\n"
      "  credence get kv-demo --output json          with its expiry, decision and request ids");
  command->add_option("NAME", options->destination, "Name of the destination (see `credence list`)")
      ->required();
  static const std::map<std::string, CredentialForm> kForms{{"value", CredentialForm::kValue},
                                                            {"env", CredentialForm::kEnv},
                                                            {"json", CredentialForm::kJson}};
  command->add_option("--output", options->form, "Output form: value, env or json")
      ->transform(CLI::CheckedTransformer(kForms, CLI::ignore_case).description(""))
      ->option_text("value|env|json");
  command->add_option("--spiffe-id", options->spiffe_id, "Use this identity of several");
  command
      ->add_option("--param",
                   options->parameters,
                   "Parameter NAME=VALUE that the destination's adapter declares (repeatable)")
      ->allow_extra_args(false);
  command
      ->add_option("--min-ttl",
                   options->min_ttl_seconds,
                   "Seconds the credential should still live, at most 86400")
      ->check(CLI::Range(0, 86400).description(""));
  options->agent.AddTo(*command);
  command->callback([options, action] { *action = [options] { return Get(*options); }; });
}

}  // namespace credence
