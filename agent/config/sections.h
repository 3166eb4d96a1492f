#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/config/agent_config.h"
#include "agent/config/decoder.h"

/// One reader per section of agent.conf. Each records its own mistakes; what does not depend on
/// flags or other sections is checked here, the rest in agent_config.cc.
namespace credence {

using TextSetting = std::optional<Setting<std::string>>;

/// The settings of `agent { }` as the file has them, so that flags can replace them before they are
/// checked.
struct AgentSection {
  TextSetting trust_domain;
  TextSetting server_address;
  std::optional<Setting<std::int64_t>> server_port;
  TextSetting socket_path;
  TextSetting data_dir;
  TextSetting trust_bundle_path;
  TextSetting trust_bundle_format;
  std::optional<Setting<bool>> insecure_bootstrap;
  TextSetting join_token;
  TextSetting join_token_file;
  TextSetting workload_key_type;
  std::optional<Setting<std::chrono::milliseconds>> availability_target;
  std::optional<Setting<std::int64_t>> x509_svid_cache_max_size;
  std::optional<Setting<std::int64_t>> jwt_svid_cache_max_size;
  std::optional<Setting<bool>> allow_unauthenticated_verifiers;
  std::vector<std::string> allowed_foreign_jwt_claims;
  TextSetting log_file;
  TextSetting log_level;
  TextSetting log_format;
  std::optional<Setting<std::chrono::milliseconds>> sync_interval;
};

AgentSection ReadAgentSection(Section agent);

/// `experimental { }` inside `agent { }`; returns sync_interval.
std::optional<Setting<std::chrono::milliseconds>> ReadExperimentalSection(Section experimental);

/// `plugins { }` as far as it goes without the rest: nullopt for what is missing or wrong, in which
/// case the mistake is recorded.
struct PluginsSection {
  /// A join_token attestor has no token yet.
  std::optional<NodeAttestorConfig> node_attestor;
  /// Whether any node attestor is there and turned on, right or wrong.
  bool node_attestor_declared = false;
  std::optional<KeyManagerConfig> key_manager;
  std::optional<UnixAttestorConfig> unix_attestor;
};

PluginsSection ReadPluginsSection(std::vector<Section> plugins,
                                  const Place& file,
                                  Mistakes& mistakes);

/// `telemetry { }` and `health_checks { }`: nothing in them is served yet.
void ReadTelemetrySection(Section telemetry);
void ReadHealthChecksSection(Section health_checks);

/// `credence { }`.
CredenceConfig ReadCredenceSection(Section credence);

}  // namespace credence
