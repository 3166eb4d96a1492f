#include "agent/cli/up/layout.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>
#include <utility>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "agent/cli/environment.h"
#include "agent/cli/find_socket.h"
#include "base/core/file.h"
#include "base/spiffe/spiffe_id.h"

namespace credence {
namespace {

constexpr std::size_t kMaxSettingsBytes = 4096;

/// An XDG folder: the variable if it is an absolute path, else below the home.
Result<std::string> XdgFolder(const char* variable, std::string_view below_home) {
  if (std::string value = EnvironmentVariable(variable); value.starts_with('/')) {
    return value + "/credence";
  }
  const std::string home = EnvironmentVariable("HOME");
  if (!home.starts_with('/')) {
    return Error(Code::kFailedPrecondition,
                 fmt::format("HOME is \"{}\": set it, or {}, or give -dataDir", home, variable));
  }
  return fmt::format("{}/{}/credence", home, below_home);
}

void Complete(UpLayout& layout) {
  layout.authority_dir = layout.data_dir + "/authority";
  layout.agent_dir = layout.data_dir + "/agent";
  layout.agent_conf = layout.data_dir + "/agent.conf";
  layout.settings = layout.data_dir + "/up.json";
  layout.bundle = layout.data_dir + "/bootstrap.pem";
  layout.join_token = layout.data_dir + "/join_token";
  layout.authority_log = layout.data_dir + "/authority.log";
  layout.agent_log = layout.data_dir + "/agent.log";
}

Result<void> LayOutForUser(UpLayout& layout) {
  auto data = XdgFolder("XDG_DATA_HOME", ".local/share");
  auto config = XdgFolder("XDG_CONFIG_HOME", ".config");
  if (!data.ok() || !config.ok()) {
    return data.ok() ? std::move(config).error() : std::move(data).error();
  }
  layout.data_dir = *std::move(data);
  layout.resources = *config + "/resources";
  layout.audit_log = layout.data_dir + "/audit.jsonl";
  return Ok();
}

Error Damaged(const std::string& path) {
  return Error(
      Code::kDataLoss,
      fmt::format("{}: not the settings that `credence up` wrote; mend or remove it", path));
}

/// A text for HCL.
Result<std::string> Quoted(const std::string& text) {
  const bool plain = std::none_of(text.begin(), text.end(), [](char c) {
    return c == '"' || c == '\\' || c == '$' || static_cast<unsigned char>(c) < ' ';
  });
  if (!plain) {
    return Error(Code::kInvalidArgument,
                 fmt::format("{}: no quote, backslash or dollar sign may stand in the path", text));
  }
  return "\"" + text + "\"";
}

}  // namespace

Result<UpLayout> LayoutFor(uid_t user, const std::string& data_dir) {
  UpLayout layout;
  if (!data_dir.empty()) {
    layout.data_dir = data_dir;
    layout.authority_socket = data_dir + "/run/authority/api.sock";
    layout.agent_socket = data_dir + "/run/agent.sock";
    layout.resources = data_dir + "/resources";
    layout.audit_log = data_dir + "/audit.jsonl";
    Complete(layout);
    return layout;
  }
  auto authority_socket = DefaultAuthoritySocket(user);
  auto agent_socket = DefaultAgentSocket(user);
  if (!authority_socket.ok() || !agent_socket.ok()) {
    return authority_socket.ok() ? std::move(agent_socket).error()
                                 : std::move(authority_socket).error();
  }
  layout.authority_socket = *std::move(authority_socket);
  layout.agent_socket = *std::move(agent_socket);
  if (user == 0) {
    layout.data_dir = "/var/lib/credence";
    layout.resources = "/etc/credence/resources";
    layout.audit_log = "/var/log/credence/audit.jsonl";
  } else if (auto laid_out = LayOutForUser(layout); !laid_out.ok()) {
    return std::move(laid_out).error();
  }
  Complete(layout);
  return layout;
}

std::string UpSettings::Issuer() const {
  if (!jwt_issuer.empty() || oidc_port == 0) {
    return jwt_issuer;
  }
  return fmt::format("http://127.0.0.1:{}", oidc_port);
}

Result<UpSettings> LoadSettings(const std::string& path, const UpSettings& fallback) {
  const auto text = ReadFile(path, kMaxSettingsBytes);
  if (!text.ok()) {
    return text.error().code() == Code::kNotFound ? Result<UpSettings>(fallback) : text.error();
  }
  boost::system::error_code failed;
  const auto value = boost::json::parse(*text, failed);
  const auto* object = failed ? nullptr : value.if_object();
  if (object == nullptr) {
    return Damaged(path);
  }
  UpSettings settings;
  const auto* trust_domain = object->if_contains("trust_domain");
  if (trust_domain == nullptr || !trust_domain->is_string()) {
    return Damaged(path);
  }
  settings.trust_domain = std::string(trust_domain->get_string());
  const auto port = [object](std::string_view name, std::uint16_t& out) {
    const auto* number = object->if_contains(name);
    if (number == nullptr || !number->is_int64() || number->get_int64() < 0 ||
        number->get_int64() > std::numeric_limits<std::uint16_t>::max()) {
      return false;
    }
    out = static_cast<std::uint16_t>(number->get_int64());
    return true;
  };
  const auto text_of = [object](std::string_view name, std::string& out) {
    const auto* member = object->if_contains(name);
    if (member != nullptr && member->is_string()) {
      out = std::string(member->get_string());
    }
    return member == nullptr || member->is_string();
  };
  if (!port("port", settings.port) || !port("oidc_port", settings.oidc_port) ||
      (object->contains("bundle_endpoint_port") &&
       !port("bundle_endpoint_port", settings.bundle_endpoint_port)) ||
      !text_of("jwt_issuer", settings.jwt_issuer) ||
      !text_of("bundle_endpoint_address", settings.bundle_endpoint_address) ||
      !TrustDomain::Parse(settings.trust_domain).ok()) {
    return Damaged(path);
  }
  return settings;
}

Result<void> StoreSettings(const std::string& path, const UpSettings& settings) {
  const boost::json::object object{{"trust_domain", settings.trust_domain},
                                   {"port", settings.port},
                                   {"oidc_port", settings.oidc_port},
                                   {"jwt_issuer", settings.jwt_issuer},
                                   {"bundle_endpoint_address", settings.bundle_endpoint_address},
                                   {"bundle_endpoint_port", settings.bundle_endpoint_port}};
  return WriteFileAtomically(path, boost::json::serialize(object) + "\n", 0600);
}

std::string TrustDomainOfHost() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) {
    return "local";
  }
  std::string label(name.data());
  label.resize(std::min(label.size(), label.find('.')));
  std::transform(label.begin(), label.end(), label.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return TrustDomain::Parse(label).ok() ? label : "local";
}

Result<std::string> AgentConfFor(const UpLayout& layout, const UpSettings& settings) {
  std::array<std::string, 6> quoted;
  const std::array<std::string, 6> paths{layout.agent_dir,
                                         layout.agent_socket,
                                         layout.bundle,
                                         layout.agent_log,
                                         layout.resources,
                                         layout.audit_log};
  for (std::size_t i = 0; i < paths.size(); ++i) {
    auto text = Quoted(paths[i]);
    if (!text.ok()) {
      return std::move(text).error();
    }
    quoted[i] = *std::move(text);
  }
  return fmt::format(
      R"(# Written once by `credence up`, and yours from then on; `up` itself tells its agent its own address and
# port, whatever stands here. To move to a SPIRE server, change server_address, server_port and
# trust_bundle_path, and start `credence run -config` with this file in the place of `credence up`.
agent {{
  trust_domain      = "{}"
  server_address    = "127.0.0.1"
  server_port       = {}
  data_dir          = {}
  socket_path       = {}
  trust_bundle_path = {}
  log_file          = {}
}}

plugins {{
  NodeAttestor "join_token" {{ plugin_data {{}} }}
  KeyManager "disk" {{ plugin_data {{ directory = {} }} }}
  WorkloadAttestor "unix" {{ plugin_data {{ discover_workload_path = true }} }}
}}

credence {{
  resources = [{}]
  audit_log = {}
}}
)",
      settings.trust_domain,
      settings.port,
      quoted[0],
      quoted[1],
      quoted[2],
      quoted[3],
      quoted[0],
      quoted[4],
      quoted[5]);
}

}  // namespace credence
