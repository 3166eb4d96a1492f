#include "agent/cli/setup/setup_run.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include <boost/json/array.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "agent/cli/config_report.h"
#include "agent/cli/find_socket.h"
#include "agent/cli/setup/resource_file.h"
#include "agent/cli/setup/vendor_keys.h"
#include "base/spiffe/spiffe_id.h"

#include "spire/api/server/bundle/v1/bundle.grpc.pb.h"

namespace credence {

using BundleStub = spire::api::server::bundle::v1::Bundle::Stub;

SetupRun::SetupRun(const SetupOptions& options,
                   const DestinationAdapter& adapter,
                   AdapterList adapters)
    : options_(options),
      adapter_(adapter),
      adapters_(std::move(adapters)),
      interactive_(isatty(STDIN_FILENO) == 1 && !options.yes && !json()) {}

Result<void> SetupRun::ReadFlags() {
  const auto known = adapter_.settings();
  for (const std::string& setting : options_.settings) {
    const std::size_t equals = setting.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Error(Code::kInvalidArgument, fmt::format("-set {}: expected NAME=VALUE", setting));
    }
    const std::string name = setting.substr(0, equals);
    const std::string value = setting.substr(equals + 1);
    if (std::none_of(known.begin(), known.end(), [&](const SettingInfo& info) {
          return info.name == name;
        })) {
      std::vector<std::string> names;
      for (const SettingInfo& info : known) {
        names.push_back(info.name);
      }
      return Error(Code::kInvalidArgument,
                   fmt::format("-set {}: {} has no such setting; it has {}",
                               setting,
                               adapter_.name(),
                               fmt::join(names, ", ")));
    }
    if (!settings_.emplace(name, value).second) {
      return Error(Code::kInvalidArgument, fmt::format("-set {}: {} is set twice", setting, name));
    }
    if (const std::string problem = Problem(name, value); !problem.empty()) {
      return Error(Code::kInvalidArgument, fmt::format("-set {}", problem));
    }
  }
  return Ok();
}

std::string SetupRun::Problem(const std::string& name, const std::string& value) const {
  const auto configured = adapter_.Configure({{name, value}});
  if (configured.ok()) {
    return "";
  }
  // One mistake a line, each starting with the setting that it is about.
  const std::string& lines = configured.error().message();
  for (std::size_t at = 0; at < lines.size();) {
    const std::size_t end = std::min(lines.find('\n', at), lines.size());
    const std::string line = lines.substr(at, end - at);
    if (line.starts_with(name + ":")) {
      return line;
    }
    at = end + 1;
  }
  return "";
}

Result<void> SetupRun::AskAuthority() {
  auto socket = FindAuthoritySocket(options_.authority.socket);
  if (!socket.ok()) {
    return std::move(socket).error();
  }
  const auto client = options_.authority.Connect();
  const auto bundle = client.ok() ? client->Call(&BundleStub::GetBundle, {})
                                  : Result<spire::api::types::Bundle>(client.error());
  if (!bundle.ok()) {
    if (!options_.authority.socket.empty()) {
      return bundle.error();
    }
    no_keys_ = bundle.error().message();
    return Ok();
  }
  const VendorKeys keys = VendorKeysOf(*bundle);
  if (keys.trust_domain != facts_.trust_domain) {
    return Error(Code::kInvalidArgument,
                 fmt::format("{} is not in the trust domain {} of the authority on {}",
                             facts_.subject,
                             keys.trust_domain,
                             *socket));
  }
  facts_.jwks = keys.jwks;
  facts_.jwk_array = keys.jwk_array;
  facts_.keys_pem = keys.pem;
  facts_.issuer = IssuerOfUp(*socket);
  return Ok();
}

Result<std::string> SetupRun::Need(std::string value,
                                   const char* flag,
                                   const char* question) const {
  if (!value.empty()) {
    return value;
  }
  if (!interactive_) {
    return Error(Code::kInvalidArgument, fmt::format("{} is missing: {}", flag, question));
  }
  auto answer = questions_.Ask(question);
  if (answer.ok() && answer->empty()) {
    return Error(Code::kInvalidArgument, fmt::format("nothing was given for: {}", question));
  }
  return answer;
}

Result<void> SetupRun::FindFacts() {
  facts_.destination = options_.name;
  if (facts_.destination.empty()) {
    facts_.destination = adapter_.name();
    std::replace(facts_.destination.begin(), facts_.destination.end(), '_', '-');
  }
  const auto text = Need(options_.spiffe_id, "-spiffeID", "SPIFFE ID of the workload");
  if (!text.ok()) {
    return text.error();
  }
  const auto id = SpiffeId::Parse(*text);
  if (!id.ok()) {
    return Error(id.error().code(), fmt::format("-spiffeID {}: {}", *text, id.error().message()));
  }
  facts_.subject = id->text();
  facts_.trust_domain = id->trust_domain().name();
  if (auto asked = AskAuthority(); !asked.ok()) {
    return asked;
  }
  const auto issuer =
      Need(options_.issuer.empty() ? facts_.issuer : options_.issuer,
           "-issuer",
           "issuer of the JWT-SVIDs (-jwtIssuer of `credence up` or `credence authority run`, "
           "jwt_issuer of a SPIRE server)");
  if (!issuer.ok()) {
    return issuer.error();
  }
  constexpr std::size_t kMaxIssuerBytes = 1024;
  if (issuer->size() > kMaxIssuerBytes ||
      !std::all_of(issuer->begin(), issuer->end(), [](char c) { return c > 0x20 && c < 0x7f; })) {
    return Error(Code::kInvalidArgument, "-issuer: expected a URL without blanks");
  }
  facts_.issuer = *issuer;
  return Ok();
}

Result<void> SetupRun::AskSetting(const SettingInfo& setting) {
  const std::string question = fmt::format(
      "{} ({}{})", setting.name, setting.expected, setting.required ? "" : "; Enter for none");
  while (true) {
    const auto answer = questions_.Ask(question);
    if (!answer.ok()) {
      return answer.error();
    }
    if (answer->empty() && !setting.required) {
      return Ok();
    }
    const std::string problem = Problem(setting.name, *answer);
    if (problem.empty()) {
      settings_[setting.name] = *answer;
      return Ok();
    }
    Questions::Say(problem + "\n");
  }
}

Result<void> SetupRun::AskSettings(bool in_setup) {
  if (!interactive_) {
    return Ok();
  }
  for (const SettingInfo& setting : adapter_.settings()) {
    const bool wanted = setting.in_setup == in_setup && !setting.default_value && !setting.rare &&
                        !settings_.contains(setting.name);
    if (!wanted) {
      continue;
    }
    if (auto asked = AskSetting(setting); !asked.ok()) {
      return asked;
    }
  }
  return Ok();
}

std::vector<std::string> SetupRun::Missing() const {
  std::vector<std::string> missing;
  for (const SettingInfo& setting : adapter_.settings()) {
    if (setting.required && !settings_.contains(setting.name)) {
      missing.push_back(fmt::format("-set {}=... ({})", setting.name, setting.expected));
    }
  }
  return missing;
}

void SetupRun::PrintSetup() const {
  if (json()) {
    return;
  }
  PrintLine(fmt::format("Issuer    {}", facts_.issuer));
  PrintLine(fmt::format("Subject   {}", facts_.subject));
  PrintLine(fmt::format("Audience  {}", fmt::join(text_.audience, " ")));
  PrintLine(
      fmt::format("Key set   {}", facts_.jwks.empty() ? "not known: " + no_keys_ : facts_.jwks));
  PrintLine("");
  for (const std::string& line : text_.lines) {
    PrintLine(line);
  }
  PrintLine("");
  std::fflush(stdout);
}

void SetupRun::PrintAll(const std::string& path, bool written) const {
  if (!json()) {
    if (written) {
      PrintLine(fmt::format("Wrote {}. Then, as the workload:", path));
      PrintLine(fmt::format("  credence check {}", facts_.destination));
    }
    return;
  }
  boost::json::array audience(text_.audience.begin(), text_.audience.end());
  boost::json::array lines(text_.lines.begin(), text_.lines.end());
  const auto missing_settings = Missing();
  boost::json::array missing(missing_settings.begin(), missing_settings.end());
  PrintJson({{"written", written},
             {"file", path},
             {"missing", std::move(missing)},
             {"destination", facts_.destination},
             {"issuer", facts_.issuer},
             {"subject", facts_.subject},
             {"audience", std::move(audience)},
             {"jwks", facts_.jwks},
             {"setup", std::move(lines)}});
}

Result<ExitCode> SetupRun::Write() {
  auto folder =
      options_.resources.empty() ? ResourcesOfUp() : Result<std::string>(options_.resources);
  if (!folder.ok()) {
    return std::move(folder).error();
  }
  const std::string path = fmt::format("{}/{}.yaml", *folder, facts_.destination);
  const std::string yaml = ResourceYaml({.name = facts_.destination,
                                         .adapter = std::string(adapter_.name()),
                                         .settings = settings_,
                                         .spiffe_id = facts_.subject,
                                         .selectors = options_.selectors});
  const auto mistakes = CheckResourceFile(*folder, path, yaml, adapters_);
  if (!mistakes.empty()) {
    if (json()) {
      PrintJson({{"written", false}, {"file", path}, {"mistakes", MistakesAsJson(mistakes)}});
    } else {
      for (const ConfigMistake& mistake : mistakes) {
        ReportError(mistake.ToString());
      }
      ReportError(fmt::format("{} would not load, nothing was written", *folder));
    }
    return ExitCode::kBadConfiguration;
  }
  if (interactive_) {
    const auto agreed = questions_.Confirm(fmt::format("\n{}\nWrite this to {}?", yaml, path));
    if (!agreed.ok()) {
      return agreed.error();
    }
    if (!*agreed) {
      return Error(Code::kCancelled, "nothing was written");
    }
  } else if (!options_.yes) {
    return Error(Code::kInvalidArgument,
                 "there is no terminal to ask on: add -yes to write " + path);
  }
  const auto written = WriteResourceFile(path, yaml, options_.force);
  if (!written.ok()) {
    return Error(
        written.error().code(),
        written.error().message() + (written.error().code() == Code::kAlreadyExists
                                         ? "; replace it with -force, or choose another -name"
                                         : ""));
  }
  PrintAll(path, true);
  return ExitCode::kOk;
}

Result<ExitCode> SetupRun::Run() {
  auto known = ReadFlags();
  if (known.ok()) {
    known = FindFacts();
  }
  if (known.ok()) {
    known = AskSettings(true);
  }
  if (!known.ok()) {
    return known.error();
  }
  auto text = adapter_.Setup(settings_, facts_);
  if (!text.ok()) {
    return std::move(text).error();
  }
  text_ = *std::move(text);
  PrintSetup();
  if (const auto asked = AskSettings(false); !asked.ok()) {
    return asked.error();
  }
  if (const auto missing = Missing(); !missing.empty()) {
    if (json()) {
      PrintAll("", false);
    } else {
      ReportError(fmt::format("nothing was written; when the vendor knows the above, add {}",
                              fmt::join(missing, ", ")));
    }
    return ExitCode::kBadUsage;
  }
  return Write();
}

}  // namespace credence
