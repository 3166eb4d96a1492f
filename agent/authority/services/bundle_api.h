#pragma once

#include <memory>
#include <string>

#include "agent/authority/services/access.h"
#include "agent/authority/services/authority_state.h"
#include "base/h2/server.h"

namespace credence {

/// spire.api.server.bundle.v1.Bundle: the own bundle for everybody, foreign ones for agents and
/// operators. Threads: core thread.
class BundleApi {
 public:
  BundleApi(AuthorityState& state, Access& access, const Clock& clock)
      : state_(state), access_(access), clock_(clock) {}

  /// What agents call, and what operators call; the latter on the private socket too.
  void RegisterForAgents(h2::Server& server);
  void RegisterForOperators(h2::Server& server);

 private:
  Task<h2::UnaryReply> GetOwn(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> GetFederated(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> Count(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> ListFederated(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> SetFederated(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> DeleteFederated(std::shared_ptr<h2::ServerCall> call, std::string request);

  AuthorityState& state_;
  Access& access_;
  const Clock& clock_;
};

}  // namespace credence
