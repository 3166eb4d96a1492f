#include "agent/authority/services/access.h"

#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <google/protobuf/any.pb.h>

#include "agent/authority/keys/issuer.h"
#include "base/crypto/certificate_issuing.h"
#include "base/svid/x509_svid.h"

#include "google/rpc/status.pb.h"

namespace credence {
namespace {

using authority::v1::AgentRecord;
using spire::api::types::PermissionDeniedDetails;

constexpr std::string_view kAgentPath = "/spire/agent/";

/// What the caller of a TLS connection showed, in our terms.
struct ShownSvid {
  SpiffeId id;
  std::string serial;
  WallTime not_after;
};

std::optional<ShownSvid> ShownBy(const h2::ServerCall& call) {
  const auto peer = call.tls_peer();
  if (!peer || peer->chain.empty()) {
    return std::nullopt;
  }
  auto chain = ParseX509SvidChain(peer->chain);
  const auto facts = FactsOfCertificate(peer->chain.front());
  if (!chain.ok() || !facts.ok()) {
    return std::nullopt;
  }
  return ShownSvid{chain->id, facts->serial, facts->not_after};
}

h2::Status NoCertificate() {
  return h2::Status{Code::kPermissionDenied, "this call needs an agent's X509-SVID", ""};
}

}  // namespace

h2::Status AgentRefusal(PermissionDeniedDetails::Reason reason, const std::string& message) {
  PermissionDeniedDetails details;
  details.set_reason(reason);
  google::rpc::Status status;
  status.set_code(static_cast<int>(Code::kPermissionDenied));
  status.set_message(message);
  status.add_details()->PackFrom(details);
  return h2::Status{Code::kPermissionDenied, message, status.SerializeAsString()};
}

bool Access::AcceptsClient(const std::vector<std::string>& chain) const {
  const auto parsed = ParseX509SvidChain(chain);
  if (!parsed.ok() || !parsed->id.MemberOf(state_.trust_domain())) {
    return false;
  }
  std::vector<std::string> authorities;
  for (const SigningKey& key : state_.keys().value()->keys) {
    if (key.record.kind() == authority::v1::SigningKeyRecord::X509) {
      authorities.push_back(key.record.public_part());
    }
  }
  return VerifyX509Svid(*parsed, authorities, clock_.Now()).ok();
}

Task<std::variant<ApiCaller, h2::Status>> Access::RequireAgent(
    std::shared_ptr<h2::ServerCall> call) {
  const auto shown = ShownBy(*call);
  if (!shown || !shown->id.path().starts_with(kAgentPath)) {
    co_return NoCertificate();
  }
  const std::string id = shown->id.text();
  // The connection may be older than the certificate's end.
  if (shown->not_after <= clock_.Now()) {
    co_return AgentRefusal(PermissionDeniedDetails::AGENT_EXPIRED, "the agent's SVID has expired");
  }
  const auto& agents = state_.tables().agents;
  const auto found = agents.find(id);
  if (found == agents.end()) {
    co_return AgentRefusal(PermissionDeniedDetails::AGENT_NOT_ATTESTED,
                           fmt::format("agent {} is not attested", id));
  }
  const AgentRecord& record = found->second;
  if (record.banned()) {
    co_return AgentRefusal(PermissionDeniedDetails::AGENT_BANNED,
                           fmt::format("agent {} is banned", id));
  }
  if (shown->serial == record.serial()) {
    co_return ApiCaller{ApiCaller::Kind::kAgent, id};
  }
  if (record.new_serial().empty() || shown->serial != record.new_serial()) {
    co_return AgentRefusal(PermissionDeniedDetails::AGENT_NOT_ACTIVE,
                           fmt::format("agent {} has a newer SVID than this one", id));
  }
  const auto activate =
      [id, serial = shown->serial](const AuthorityTables& tables) -> Result<AuthorityState::Plan> {
    const auto now = tables.agents.find(id);
    if (now == tables.agents.end() || now->second.banned() ||
        (now->second.serial() != serial && now->second.new_serial() != serial)) {
      return Error(Code::kAborted, "the agent has changed meanwhile; try again");
    }
    if (now->second.serial() == serial) {
      return AuthorityState::Plan{};
    }
    AgentRecord active = now->second;
    active.set_serial(serial);
    active.set_not_after(active.new_not_after());
    active.clear_new_serial();
    active.clear_new_not_after();
    return AuthorityState::Plan{
        {{Table::kAgents, id, active.SerializeAsString()}},
        [id, active](AuthorityTables& changed) { changed.agents[id] = active; }};
  };
  const auto written = co_await state_.Write(activate);
  if (!written.ok()) {
    co_return h2::Status::From(written.error());
  }
  co_return ApiCaller{ApiCaller::Kind::kAgent, id};
}

std::optional<h2::Status> Access::RefusalOfOperator(const h2::ServerCall& call) const {
  if (!call.tls_peer()) {
    return std::nullopt;
  }
  const auto shown = ShownBy(call);
  const WallTime now = clock_.Now();
  if (shown && shown->not_after > now &&
      state_.tables().entries.IsAdmin(shown->id.text(), ToUnixSeconds(now))) {
    return std::nullopt;
  }
  return h2::Status{
      Code::kPermissionDenied,
      "this call is for operators: use the authority's private socket, or the SVID of "
      "an admin entry",
      ""};
}

Task<std::variant<ApiCaller, h2::Status>> Access::RequireAgentOrOperator(
    std::shared_ptr<h2::ServerCall> call) {
  if (!RefusalOfOperator(*call)) {
    co_return ApiCaller{ApiCaller::Kind::kOperator, ""};
  }
  auto agent = co_await RequireAgent(std::move(call));
  co_return agent;
}

}  // namespace credence
