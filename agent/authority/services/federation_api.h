#pragma once

#include <memory>
#include <string>

#include "agent/authority/services/access.h"
#include "agent/authority/services/authority_state.h"
#include "agent/authority/services/foreign_bundles.h"
#include "base/h2/server.h"

namespace credence {

/// spire.api.server.trustdomain.v1.TrustDomain: relationships with foreign trust domains, for
/// operators. Threads: core thread.
class FederationApi {
 public:
  FederationApi(AuthorityState& state, Access& access, ForeignBundles& bundles, const Clock& clock)
      : state_(state), access_(access), bundles_(bundles), clock_(clock) {}

  void RegisterForOperators(h2::Server& server);

 private:
  Task<h2::UnaryReply> List(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> Get(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> Create(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> Update(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> Delete(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> Refresh(std::shared_ptr<h2::ServerCall> call, std::string request);

  AuthorityState& state_;
  Access& access_;
  ForeignBundles& bundles_;
  const Clock& clock_;
};

}  // namespace credence
