#include "agent/cli/agent_flags.h"

#include <CLI/CLI.hpp>

namespace credence {

void RunFlags::AddTo(CLI::App& command) {
  command.add_option("--config", config, "Configuration file, HCL or JSON")->capture_default_str();
  command.add_flag(
      "--expandEnv", expand_environment, "Replace $VAR and ${VAR} in the configuration file");
  command.add_option("--dataDir", overrides.data_dir, "Folder for the agent's own state");
  command.add_option("--joinToken",
                     overrides.join_token,
                     "Join token; others on this machine can read it here, so prefer a file");
  command.add_option("--joinTokenFile", overrides.join_token_file, "File with a join token");
  command.add_option("--logFile", overrides.log_file, "Log file; standard output if not given");
  command.add_option("--logFormat", overrides.log_format, "text or json");
  command.add_option("--logLevel", overrides.log_level, "DEBUG, INFO, WARN or ERROR");
  command.add_option(
      "--serverAddress", overrides.server_address, "Name or address of the SPIRE server");
  command.add_option("--serverPort", overrides.server_port, "Port of the SPIRE server");
  command.add_option("--socketPath", overrides.socket_path, "Socket to serve the Workload API on");
  command.add_option("--trustDomain", overrides.trust_domain, "Trust domain");
  command.add_option(
      "--trustBundle", overrides.trust_bundle, "File with the bootstrap trust bundle");
  command.add_option("--trustBundleFormat", overrides.trust_bundle_format, "pem or spiffe");
  command.add_flag(
      "--insecureBootstrap", overrides.insecure_bootstrap, "Believe the server on first contact");
  command.add_flag("--allowUnauthenticatedVerifiers",
                   overrides.allow_unauthenticated_verifiers,
                   "Give the own bundle to callers without an identity");
  command.add_flag("--exitWhenExpired",
                   overrides.exit_when_expired,
                   "End with exit code 5 when the node's SVID has expired and cannot be renewed, "
                   "for a supervisor that has the node attested anew");
}

}  // namespace credence
