#include "agent/authority/services/agent_records.h"

#include <cstddef>

#include <fmt/format.h>

namespace credence {
namespace {

constexpr std::size_t kMaxTokenBytes = 128;

}  // namespace

std::string AgentMethod(std::string_view method) {
  return "/spire.api.server.agent.v1.Agent/" + std::string(method);
}

Result<SpiffeId> AgentIdOfToken(const TrustDomain& trust_domain, const std::string& token) {
  if (token.empty() || token.size() > kMaxTokenBytes || token.find('/') != std::string::npos) {
    return Error(Code::kInvalidArgument,
                 fmt::format("a join token has 1 to {} letters, digits and -_.", kMaxTokenBytes));
  }
  auto id = SpiffeId::FromParts(trust_domain.name(), "/spire/agent/join_token/" + token);
  // The token itself must not come back in an error.
  if (!id.ok()) {
    return Error(Code::kInvalidArgument,
                 fmt::format("a join token has 1 to {} letters, digits and -_.", kMaxTokenBytes));
  }
  return id;
}

Change PutAgent(const authority::v1::AgentRecord& record) {
  return {Table::kAgents, record.id(), record.SerializeAsString()};
}

}  // namespace credence
