#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/core/log.h"
#include "base/core/result.h"
#include "base/core/secret_bytes.h"
#include "base/crypto/private_key.h"
#include "base/spiffe/spiffe_id.h"

namespace credence {

/// How the first trust bundle is found when none is stored.
struct BundleFile {
  std::string path;
  /// SPIRE's trust_bundle_format: PEM certificates or a SPIFFE bundle document.
  bool spiffe_format = false;
};
/// Accepts any server chain that names the server's SPIFFE ID, once.
struct InsecureBootstrap {};
/// Nothing configured: only a stored bundle will do.
struct NoBootstrap {};
using BootstrapSource = std::variant<NoBootstrap, BundleFile, InsecureBootstrap>;

struct JoinTokenAttestorConfig {
  /// From join_token, join_token_file, -joinToken or -joinTokenFile; null when there is none, in
  /// which case only an agent SVID that is stored will do.
  SharedSecret token;
};
struct X509PopAttestorConfig {
  std::string private_key_path;
  std::string certificate_path;
  /// "" for none.
  std::string intermediates_path;
};
using NodeAttestorConfig = std::variant<JoinTokenAttestorConfig, X509PopAttestorConfig>;

struct MemoryKeyManagerConfig {};
struct DiskKeyManagerConfig {
  std::string directory;
};
using KeyManagerConfig = std::variant<MemoryKeyManagerConfig, DiskKeyManagerConfig>;

struct UnixAttestorConfig {
  bool discover_workload_path = false;
  /// Largest executable hashed, in bytes; 0 for no limit, negative for no hash.
  std::int64_t workload_size_limit = 0;
};

/// The `credence { }` block: what SPIRE's agent does not have.
struct CredenceConfig {
  /// Files or folders of YAML resources.
  std::vector<std::string> resources;
  /// "" for no audit log, which also means that no credential is given out.
  std::string audit_log;
};

/// All of agent.conf, checked. Times are durations, never bare numbers.
struct AgentConfig {
  TrustDomain trust_domain;
  std::string server_address;
  std::uint16_t server_port = 0;
  std::string socket_path = "/tmp/spire-agent/public/api.sock";
  std::string data_dir = ".";
  BootstrapSource bootstrap;
  KeyType workload_key_type = KeyType::kEcP256;
  std::optional<std::chrono::milliseconds> availability_target;
  std::size_t x509_svid_cache_max_size = 1000;
  std::size_t jwt_svid_cache_max_size = 1000;
  bool allow_unauthenticated_verifiers = false;
  /// End when the node's own SVID has expired and cannot be renewed, for a supervisor that can have
  /// the node attested anew.
  bool exit_when_expired = false;
  std::vector<std::string> allowed_foreign_jwt_claims;
  LogOptions log;
  std::chrono::milliseconds sync_interval{5000};
  NodeAttestorConfig node_attestor;
  KeyManagerConfig key_manager;
  /// nullopt when the unix attestor is not configured.
  std::optional<UnixAttestorConfig> unix_attestor;
  CredenceConfig credence;
};

/// SPIRE's command-line flags that override the file; unset ones do not.
struct AgentConfigOverrides {
  std::optional<std::string> data_dir;
  std::optional<std::string> join_token;
  std::optional<std::string> join_token_file;
  std::optional<std::string> log_file;
  std::optional<std::string> log_format;
  std::optional<std::string> log_level;
  std::optional<std::string> server_address;
  std::optional<std::string> server_port;
  std::optional<std::string> socket_path;
  std::optional<std::string> trust_domain;
  std::optional<std::string> trust_bundle;
  std::optional<std::string> trust_bundle_format;
  std::optional<bool> insecure_bootstrap;
  std::optional<bool> allow_unauthenticated_verifiers;
  bool exit_when_expired = false;
};

/// One mistake in a configuration or resource file.
struct ConfigMistake {
  std::string file;
  /// From 1; 0 when the mistake is about the whole file or a flag.
  int line = 0;
  int column = 0;
  /// Such as agent.server_port or plugins.NodeAttestor.x509pop.private_key_path; "" for syntax.
  std::string key;
  /// What is wrong and what was expected.
  std::string message;

  /// "agent.conf:12:3: agent.server_port: expected a number from 1 to 65535, found "x"".
  std::string ToString() const;
};

/// Either a configuration or every mistake there is, in file order.
struct AgentConfigOutcome {
  std::optional<AgentConfig> config;
  std::vector<ConfigMistake> mistakes;
};

/// Reads `text` (HCL 1 or JSON, as SPIRE does) named `file` in messages. Every key that SPIRE's
/// agent knows and this agent does not serve yet is a mistake that says so; so is every unknown
/// key. `environment` is set for -expandEnv: $VAR and ${VAR} are replaced before parsing, unset
/// ones by nothing.
AgentConfigOutcome ParseAgentConfig(std::string_view text,
                                    const std::string& file,
                                    const AgentConfigOverrides& overrides,
                                    bool expand_environment);

/// The same from a file of at most 1 MiB.
AgentConfigOutcome LoadAgentConfig(const std::string& path,
                                   const AgentConfigOverrides& overrides,
                                   bool expand_environment);

}  // namespace credence
