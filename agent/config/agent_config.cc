#include "agent/config/agent_config.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "agent/config/decoder.h"
#include "agent/config/expand_environment.h"
#include "agent/config/hcl/parser.h"
#include "agent/config/sections.h"
#include "base/core/file.h"
#include "base/spiffe/spiffe_id.h"

namespace credence {
namespace {

using std::chrono_literals::operator""h;

/// sockaddr_un holds 108 bytes with the final NUL.
constexpr std::size_t kMaxSocketPath = 107;
constexpr std::size_t kMaxJoinToken = 4096;

/// What the sections of the file say.
struct FileSections {
  AgentSection agent;
  PluginsSection plugins;
  CredenceConfig credence;
  /// Where to report what the agent block lacks.
  Place agent_place;
};

/// A flag that is set and not empty beats the file.
TextSetting Prefer(const std::optional<std::string>& flag,
                   std::string_view name,
                   TextSetting file) {
  if (flag && !flag->empty()) {
    return Setting<std::string>{*flag, {{}, std::string(name)}};
  }
  return file;
}

/// A flag that is not true counts as not set, as in SPIRE.
bool PreferTrue(const std::optional<bool>& flag, const std::optional<Setting<bool>>& file) {
  return flag.value_or(false) || (file && file->value);
}

/// Of a bare name, or of a SPIFFE ID in it, as SPIRE takes them.
Result<TrustDomain> ParseTrustDomain(std::string_view text) {
  if (text.find(":/") == std::string_view::npos) {
    return TrustDomain::Parse(text);
  }
  auto id = SpiffeId::Parse(text);
  if (!id.ok()) {
    return std::move(id).error();
  }
  return id->trust_domain();
}

TrustDomain ReadTrustDomain(const TextSetting& setting, const Place& agent, Mistakes& mistakes) {
  const auto fallback = TrustDomain::Parse("unset");
  if (!setting) {
    mistakes.AddMissing({agent.at, "agent.trust_domain"}, "a trust domain such as \"example.org\"");
    return *fallback;
  }
  const auto domain = ParseTrustDomain(setting->value);
  if (!domain.ok()) {
    mistakes.Add(setting->place, domain.error().message());
    return *fallback;
  }
  return *domain;
}

void ReadServer(const FileSections& file,
                const AgentConfigOverrides& flags,
                AgentConfig& config,
                Mistakes& mistakes) {
  const auto address = Prefer(flags.server_address, "-serverAddress", file.agent.server_address);
  if (!address) {
    mistakes.AddMissing({file.agent_place.at, "agent.server_address"},
                        "the DNS name or IP address of the SPIRE server");
  } else if (address->value.find_first_of("/ \t\r\n") != std::string::npos) {
    mistakes.Add(
        address->place,
        fmt::format("expected a DNS name or an IP address, found {}", Quoted(address->value)));
  } else {
    config.server_address = address->value;
  }
  if (flags.server_port && !flags.server_port->empty()) {
    const std::string& text = *flags.server_port;
    const char* const last = text.data() + text.size();
    const auto [end, code] = std::from_chars(text.data(), last, config.server_port);
    if (code != std::errc{} || end != last || config.server_port == 0) {
      mistakes.Add({{}, "-serverPort"},
                   fmt::format("expected a number from 1 to 65535, found {}", Quoted(text)));
    }
  } else if (file.agent.server_port) {
    config.server_port = static_cast<std::uint16_t>(file.agent.server_port->value);
  } else {
    mistakes.AddMissing({file.agent_place.at, "agent.server_port"}, "the port of the SPIRE server");
  }
}

void ReadPaths(const FileSections& file,
               const AgentConfigOverrides& flags,
               AgentConfig& config,
               Mistakes& mistakes) {
  if (const auto socket = Prefer(flags.socket_path, "-socketPath", file.agent.socket_path)) {
    if (socket->value.size() > kMaxSocketPath) {
      mistakes.Add(
          socket->place,
          fmt::format(
              "expected a path of at most {} bytes, as the kernel takes for a socket; found {}",
              kMaxSocketPath,
              socket->value.size()));
    }
    config.socket_path = socket->value;
  }
  if (const auto data_dir = Prefer(flags.data_dir, "-dataDir", file.agent.data_dir)) {
    config.data_dir = data_dir->value;
  }
}

void ReadBootstrap(const FileSections& file,
                   const AgentConfigOverrides& flags,
                   AgentConfig& config,
                   Mistakes& mistakes) {
  const auto path = Prefer(flags.trust_bundle, "-trustBundle", file.agent.trust_bundle_path);
  const auto format =
      Prefer(flags.trust_bundle_format, "-trustBundleFormat", file.agent.trust_bundle_format);
  if (format && format->value != "pem" && format->value != "spiffe") {
    mistakes.Add(format->place,
                 fmt::format("expected \"pem\" or \"spiffe\", found {}", Quoted(format->value)));
  }
  const bool insecure = PreferTrue(flags.insecure_bootstrap, file.agent.insecure_bootstrap);
  if (insecure && path) {
    const bool in_file = file.agent.insecure_bootstrap && file.agent.insecure_bootstrap->value;
    mistakes.Add(in_file ? file.agent.insecure_bootstrap->place : Place{{}, "-insecureBootstrap"},
                 fmt::format("excludes {}: expected only one of them", path->place.key));
  } else if (insecure) {
    config.bootstrap = InsecureBootstrap{};
  } else if (path) {
    config.bootstrap = BundleFile{path->value, format && format->value == "spiffe"};
  }
}

void ReadCaches(const AgentSection& agent, AgentConfig& config, Mistakes& mistakes) {
  // Zero means the default, as in SPIRE.
  const auto size = [](const std::optional<Setting<std::int64_t>>& setting, std::size_t& into) {
    if (setting && setting->value > 0) {
      into = static_cast<std::size_t>(setting->value);
    }
  };
  size(agent.x509_svid_cache_max_size, config.x509_svid_cache_max_size);
  size(agent.jwt_svid_cache_max_size, config.jwt_svid_cache_max_size);
  if (agent.availability_target && agent.availability_target->value < 24h) {
    mistakes.Add(agent.availability_target->place, "expected at least \"24h\"");
  } else if (agent.availability_target) {
    config.availability_target = agent.availability_target->value;
  }
  if (agent.workload_key_type) {
    const auto type = ParseKeyType(agent.workload_key_type->value);
    if (type.ok()) {
      config.workload_key_type = *type;
    } else {
      mistakes.Add(agent.workload_key_type->place,
                   fmt::format("expected \"ec-p256\", \"ec-p384\" or \"rsa-2048\", found {}",
                               Quoted(agent.workload_key_type->value)));
    }
  }
}

void ReadLog(const FileSections& file,
             const AgentConfigOverrides& flags,
             AgentConfig& config,
             Mistakes& mistakes) {
  if (const auto log_file = Prefer(flags.log_file, "-logFile", file.agent.log_file)) {
    config.log.file = log_file->value;
  }
  if (const auto level = Prefer(flags.log_level, "-logLevel", file.agent.log_level)) {
    const auto parsed = ParseLogLevel(level->value);
    if (parsed.ok()) {
      config.log.level = *parsed;
    } else {
      mistakes.Add(level->place,
                   fmt::format("expected \"debug\", \"info\", \"warn\" or \"error\", found {}",
                               Quoted(level->value)));
    }
  }
  if (const auto format = Prefer(flags.log_format, "-logFormat", file.agent.log_format)) {
    std::string lower = format->value;
    std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) {
      return static_cast<char>(std::tolower(c));
    });
    if (lower == "json") {
      config.log.format = LogFormat::kJson;
    } else if (lower != "text") {
      mistakes.Add(format->place,
                   fmt::format("expected \"text\" or \"json\", found {}", Quoted(format->value)));
    }
  }
}

SharedSecret ReadTokenFile(const Setting<std::string>& path, Mistakes& mistakes) {
  const auto content = ReadSecretFile(path.value, kMaxJoinToken);
  if (!content.ok()) {
    mistakes.Add(path.place, content.error().message());
    return nullptr;
  }
  std::string_view token = content->Reveal();
  const std::size_t first = token.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) {
    mistakes.Add(path.place, fmt::format("{} is empty: expected a join token", Quoted(path.value)));
    return nullptr;
  }
  token = token.substr(first, token.find_last_not_of(" \t\r\n") + 1 - first);
  return std::make_shared<const SecretBytes>(SecretBytes::CopyOf(token));
}

/// The join token; null when there is none. Flags beat the file as a pair: a token on the command
/// line replaces a token file in the file.
SharedSecret ReadJoinToken(const AgentSection& agent,
                           const AgentConfigOverrides& flags,
                           Mistakes& mistakes) {
  auto token = Prefer(flags.join_token, "-joinToken", std::nullopt);
  auto path = Prefer(flags.join_token_file, "-joinTokenFile", std::nullopt);
  if (!token && !path) {
    token = agent.join_token;
    path = agent.join_token_file;
  }
  SharedSecret secret;
  if (token && path) {
    mistakes.Add(path->place,
                 fmt::format("excludes {}: expected only one of them", token->place.key));
  } else if (path) {
    secret = ReadTokenFile(*path, mistakes);
  } else if (token) {
    secret = std::make_shared<const SecretBytes>(SecretBytes::CopyOf(token->value));
  }
  if (token) {
    WipeString(token->value);
  }
  return secret;
}

void ReadNodeAttestor(FileSections& file,
                      const AgentConfigOverrides& flags,
                      AgentConfig& config,
                      Mistakes& mistakes) {
  const SharedSecret token = ReadJoinToken(file.agent, flags, mistakes);
  // A token that could not be read has its own mistake.
  const bool token_asked = file.agent.join_token || file.agent.join_token_file ||
                           flags.join_token || flags.join_token_file;
  if (token) {
    config.node_attestor = JoinTokenAttestorConfig{token};
  } else if (file.plugins.node_attestor) {
    config.node_attestor = *std::move(file.plugins.node_attestor);
  } else if (!file.plugins.node_attestor_declared && !token_asked) {
    mistakes.AddMissing({file.agent_place.at, "plugins.NodeAttestor"},
                        "exactly one, \"join_token\" or \"x509pop\"");
  }
}

AgentConfig Assemble(FileSections file, const AgentConfigOverrides& flags, Mistakes& mistakes) {
  const auto domain = Prefer(flags.trust_domain, "-trustDomain", file.agent.trust_domain);
  AgentConfig config{.trust_domain = ReadTrustDomain(domain, file.agent_place, mistakes)};
  ReadServer(file, flags, config, mistakes);
  ReadPaths(file, flags, config, mistakes);
  ReadBootstrap(file, flags, config, mistakes);
  ReadCaches(file.agent, config, mistakes);
  ReadLog(file, flags, config, mistakes);
  ReadNodeAttestor(file, flags, config, mistakes);
  config.exit_when_expired = flags.exit_when_expired;
  config.allow_unauthenticated_verifiers =
      PreferTrue(flags.allow_unauthenticated_verifiers, file.agent.allow_unauthenticated_verifiers);
  config.allowed_foreign_jwt_claims = std::move(file.agent.allowed_foreign_jwt_claims);
  if (file.agent.sync_interval) {
    config.sync_interval = file.agent.sync_interval->value;
  }
  if (file.plugins.key_manager) {
    config.key_manager = *std::move(file.plugins.key_manager);
  }
  config.unix_attestor = file.plugins.unix_attestor;
  config.credence = std::move(file.credence);
  if (file.agent.join_token) {
    WipeString(file.agent.join_token->value);
  }
  return config;
}

FileSections ReadSections(const Value& root, Mistakes& mistakes) {
  FileSections file;
  Section top(root, "", Typing::kAsSpire, mistakes);
  if (auto agent = top.Block("agent")) {
    file.agent_place = agent->place();
    file.agent = ReadAgentSection(*std::move(agent));
  }
  file.plugins = ReadPluginsSection(top.Blocks("plugins"), {}, mistakes);
  if (auto telemetry = top.Block("telemetry")) {
    ReadTelemetrySection(*std::move(telemetry));
  }
  if (auto health_checks = top.Block("health_checks")) {
    ReadHealthChecksSection(*std::move(health_checks));
  }
  if (auto credence = top.Block("credence")) {
    file.credence = ReadCredenceSection(*std::move(credence));
  }
  top.Finish();
  return file;
}

/// A tree may hold a join token.
void WipeTree(Value& value) {
  WipeString(value.text);
  std::for_each(value.items.begin(), value.items.end(), WipeTree);
  for (Entry& entry : value.entries) {
    WipeTree(entry.value);
  }
}

AgentConfigOutcome Refuse(const std::string& file, const SyntaxError& error) {
  AgentConfigOutcome outcome;
  outcome.mistakes.push_back({file, error.at.line, error.at.column, "", error.message});
  return outcome;
}

}  // namespace

AgentConfigOutcome ParseAgentConfig(std::string_view text,
                                    const std::string& file,
                                    const AgentConfigOverrides& overrides,
                                    bool expand_environment) {
  ExpandedText expanded;
  const WipeOnExit wipe(expanded.text);
  if (expand_environment) {
    expanded = ExpandEnvironment(text, LookUpEnvironment);
    if (expanded.error) {
      return Refuse(file, *expanded.error);
    }
    text = expanded.text;
  }
  Document document = hcl::Parse(text);
  if (document.error) {
    WipeTree(document.root);
    return Refuse(file, *document.error);
  }
  Mistakes mistakes(file);
  AgentConfig config = Assemble(ReadSections(document.root, mistakes), overrides, mistakes);
  WipeTree(document.root);
  AgentConfigOutcome outcome;
  outcome.mistakes = mistakes.Take();
  if (outcome.mistakes.empty()) {
    outcome.config = std::move(config);
  }
  return outcome;
}

AgentConfigOutcome LoadAgentConfig(const std::string& path,
                                   const AgentConfigOverrides& overrides,
                                   bool expand_environment) {
  auto text = ReadFile(path, hcl::kMaxBytes);
  if (!text.ok()) {
    return Refuse(path, {{}, text.error().message()});
  }
  const WipeOnExit wipe(*text);
  return ParseAgentConfig(*text, path, overrides, expand_environment);
}

}  // namespace credence
