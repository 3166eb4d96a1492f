#include "agent/cli/up/first_contact.h"

#include <pwd.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "agent/cli/agent_client.h"
#include "agent/cli/authority/authority_client.h"
#include "agent/cli/find_socket.h"
#include "agent/config/node_alias.h"
#include "agent/upstream/agent_data.h"
#include "base/core/clock.h"
#include "base/core/deadline.h"
#include "base/core/file.h"
#include "base/crypto/certificate.h"
#include "base/crypto/certificate_issuing.h"
#include "base/rpc/foreign_text.h"

#include "spire/api/server/agent/v1/agent.grpc.pb.h"
#include "spire/api/server/bundle/v1/bundle.grpc.pb.h"

namespace credence {
namespace {

namespace agent_api = spire::api::server::agent::v1;
namespace bundle_api = spire::api::server::bundle::v1;

constexpr std::chrono::seconds kPatience{15};
constexpr std::chrono::milliseconds kCallTimeout{5000};
constexpr std::chrono::milliseconds kLook{5};
constexpr int kTokenLifeSeconds = 600;
/// An SVID with less left may end before it is used.
constexpr std::chrono::seconds kLeastLeft{60};

/// The authority makes its keys and database before it listens.
Result<AuthorityClient> ConnectWhenReady(const std::string& socket) {
  const Deadline end = Deadline::After(kPatience);
  while (true) {
    auto client = AuthorityClient::Connect(socket, kCallTimeout);
    if (client.ok() || end.Passed()) {
      return client;
    }
    std::this_thread::sleep_for(kLook);
  }
}

Result<void> WriteBundle(const AuthorityClient& client, const std::string& path) {
  const auto bundle =
      client.Call(&bundle_api::Bundle::Stub::GetBundle, bundle_api::GetBundleRequest());
  if (!bundle.ok()) {
    return bundle.error();
  }
  std::vector<std::string> certificates;
  for (const auto& authority : bundle->x509_authorities()) {
    certificates.push_back(authority.asn1());
  }
  constexpr mode_t kReadable = 0644;
  return WriteFileAtomically(path, CertificatesToPem(certificates), kReadable);
}

bool HasGoodSvid(const std::string& agent_dir) {
  const auto data = LoadAgentData(agent_dir);
  if (!data.ok() || data->svid_chain.empty()) {
    return false;
  }
  const auto facts = FactsOfCertificate(data->svid_chain.front());
  return facts.ok() && facts->not_after > SystemClock().Now() + kLeastLeft;
}

Result<void> WriteJoinToken(const AuthorityClient& client,
                            const UpLayout& layout,
                            const UpSettings& settings) {
  agent_api::CreateJoinTokenRequest request;
  request.set_ttl(kTokenLifeSeconds);
  request.mutable_agent_id()->set_trust_domain(settings.trust_domain);
  request.mutable_agent_id()->set_path(kLocalNodePath);
  const auto token = client.Call(&agent_api::Agent::Stub::CreateJoinToken, request);
  if (!token.ok()) {
    return token.error();
  }
  constexpr mode_t kTokenFileMode = 0600;
  return WriteFileAtomically(layout.join_token, token->value() + "\n", kTokenFileMode);
}

/// What the attestor says of this user's processes: the name only if there is one.
std::string OwnSelector() {
  const passwd* user = getpwuid(geteuid());  // NOLINT(concurrency-mt-unsafe): one thread here
  return user == nullptr ? fmt::format("unix:uid:{}", geteuid())
                         : fmt::format("unix:user:{}", user->pw_name);
}

void PrintForHumans(const UpLayout& layout,
                    const UpSettings& settings,
                    const std::string& agent_id) {
  const std::string id = fmt::format("spiffe://{}/demo", settings.trust_domain);
  PrintLine(fmt::format(
      "Credence is up. Trust domain {}, this node is {}", settings.trust_domain, agent_id));
  PrintLine(fmt::format("  workloads connect to  {}", layout.agent_socket));
  if (const std::string issuer = settings.Issuer(); !issuer.empty()) {
    PrintLine(fmt::format("  OIDC issuer           {}", issuer));
  }
  PrintLine(fmt::format("  destinations, grants  {}", layout.resources));
  PrintLine(fmt::format("  data, keys and logs   {}", layout.data_dir));
  PrintLine("\nNext, in another terminal:");
  const auto usual = DefaultAuthoritySocket(geteuid());
  if (!usual.ok() || *usual != layout.authority_socket) {
    PrintLine(fmt::format("  export CREDENCE_AUTHORITY_SOCKET={}    # for the operator's commands",
                          layout.authority_socket));
  }
  PrintLine(fmt::format("  credence entry create -spiffeID {} -selector {}", id, OwnSelector()));
  PrintLine(fmt::format("  export SPIFFE_ENDPOINT_SOCKET=unix://{}    # for any SPIFFE client",
                        layout.agent_socket));
  PrintLine("  credence status");
  PrintLine("Ctrl-C stops it; nothing is lost.");
}

void PrintAsJson(const UpLayout& layout, const UpSettings& settings, const std::string& agent_id) {
  PrintJson({{"trust_domain", settings.trust_domain},
             {"agent_id", agent_id},
             {"agent_socket", layout.agent_socket},
             {"authority_socket", layout.authority_socket},
             {"server_port", settings.port},
             {"oidc_issuer", settings.Issuer()},
             {"agent_conf", layout.agent_conf},
             {"resources", layout.resources},
             {"audit_log", layout.audit_log},
             {"data_dir", layout.data_dir}});
}

}  // namespace

Result<void> PrepareAgent(const UpLayout& layout, const UpSettings& settings) {
  const auto client = ConnectWhenReady(layout.authority_socket);
  if (!client.ok()) {
    return client.error();
  }
  if (auto written = WriteBundle(*client, layout.bundle); !written.ok()) {
    return std::move(written).error().Wrap("trust bundle");
  }
  if (HasGoodSvid(layout.agent_dir)) {
    return Ok();
  }
  if (auto written = WriteJoinToken(*client, layout, settings); !written.ok()) {
    return std::move(written).error().Wrap("join token");
  }
  return Ok();
}

Result<void> Announce(const UpLayout& layout, const UpSettings& settings, OutputFormat format) {
  const Deadline end = Deadline::After(kPatience);
  std::string waits_for = "the agent does not listen";
  while (!end.Passed()) {
    const AgentClient client(layout.agent_socket, kCallTimeout);
    const auto status = client.GetStatus();
    if (status.reply && !status.reply->agent_id().empty() && status.reply->sync_error().empty()) {
      if (format == OutputFormat::kJson) {
        PrintAsJson(layout, settings, status.reply->agent_id());
      } else {
        PrintForHumans(layout, settings, status.reply->agent_id());
      }
      return FinishOutput();
    }
    waits_for =
        status.reply ? ForeignText(status.reply->sync_error()) : status.refused.error.message();
    std::this_thread::sleep_for(kLook);
  }
  return Error(Code::kUnavailable, waits_for);
}

}  // namespace credence
