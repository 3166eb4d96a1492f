#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/authority/services/access.h"
#include "agent/authority/services/authority_state.h"
#include "base/h2/server.h"

namespace credence {

/// spire.api.server.entry.v1.Entry: agents learn what they may serve; operators register. Threads:
/// core thread.
class EntryApi {
 public:
  EntryApi(AuthorityState& state, Access& access, const Clock& clock)
      : state_(state), access_(access), clock_(clock) {}

  /// What agents call, and what operators call; the latter on the private socket too.
  void RegisterForAgents(h2::Server& server);
  void RegisterForOperators(h2::Server& server);

 private:
  Task<h2::Status> Sync(std::shared_ptr<h2::ServerCall> call);
  Task<h2::UnaryReply> GetAuthorized(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> Count(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> List(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> Get(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> BatchCreate(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> BatchUpdate(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> BatchDelete(std::shared_ptr<h2::ServerCall> call, std::string request);

  std::vector<StoredEntry> AuthorizedFor(const std::string& agent_id) const;
  /// Those of the entries with these `ids` that the agent may serve. Errors: kPermissionDenied,
  /// kInvalidArgument.
  Result<std::vector<StoredEntry>> Pick(const std::vector<std::string>& ids,
                                        const std::string& agent_id) const;
  /// Answers requests for entries in full until the agent ends the call.
  Task<Result<void>> AnswerIds(std::shared_ptr<h2::ServerCall> call,
                               std::string agent_id,
                               std::shared_ptr<const spire::api::types::EntryMask> mask);

  AuthorityState& state_;
  Access& access_;
  const Clock& clock_;
};

}  // namespace credence
