#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/core/result.h"

namespace credence {

/// Where `credence up` keeps what: for root /var/lib, /etc and /var/log/credence, for everybody
/// else the XDG directories. Source: XDG Base Directory Specification; FHS 3.0.
struct UpLayout {
  std::string data_dir;
  std::string authority_dir;
  std::string agent_dir;
  std::string agent_conf;
  std::string settings;
  std::string bundle;
  std::string join_token;
  std::string authority_log;
  std::string agent_log;
  std::string authority_socket;
  std::string agent_socket;
  std::string resources;
  std::string audit_log;
};

/// For `user`; `data_dir` replaces the folder of the data unless empty, and then sockets, resources
/// and the audit log are below it too, so that several can run beside each other. Errors:
/// kFailedPrecondition if HOME is needed and is no absolute path.
Result<UpLayout> LayoutFor(uid_t user, const std::string& data_dir);

/// What was chosen at the first start and holds from then on.
struct UpSettings {
  std::string trust_domain;
  std::uint16_t port = 8081;
  /// 0 serves no OIDC documents.
  std::uint16_t oidc_port = 8088;
  /// The iss of JWT-SVIDs; "" for the URL of that port on this machine.
  std::string jwt_issuer;
  /// Where other trust domains fetch the bundle; no endpoint without a port.
  std::string bundle_endpoint_address = "127.0.0.1";
  std::uint16_t bundle_endpoint_port = 0;

  /// "" if there is none: no port and no URL.
  std::string Issuer() const;
};

/// The settings at `path`, `fallback` if there is no such file.
/// Errors: kDataLoss for a damaged file; as ReadFile.
Result<UpSettings> LoadSettings(const std::string& path, const UpSettings& fallback);
Result<void> StoreSettings(const std::string& path, const UpSettings& settings);

/// The host's name as a trust domain: its first label in lower case, "local" if that is none.
std::string TrustDomainOfHost();

/// An agent.conf for the agent that goes with the authority.
/// Errors: kInvalidArgument for a path that cannot stand in a configuration file.
Result<std::string> AgentConfFor(const UpLayout& layout, const UpSettings& settings);

}  // namespace credence
