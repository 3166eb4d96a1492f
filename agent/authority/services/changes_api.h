#pragma once

#include <memory>

#include "agent/authority/services/access.h"
#include "agent/authority/services/authority_state.h"
#include "base/h2/server.h"

namespace credence {

/// credence.authority.v1.Changes: tells agents when to synchronize, so that they need not ask every
/// few seconds. Threads: core thread.
class ChangesApi {
 public:
  ChangesApi(AuthorityState& state, Access& access) : state_(state), access_(access) {}

  void RegisterForAgents(h2::Server& server);

 private:
  Task<h2::Status> Watch(std::shared_ptr<h2::ServerCall> call);

  AuthorityState& state_;
  Access& access_;
};

}  // namespace credence
