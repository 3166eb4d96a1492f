#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/thread_pool.hpp>

#include "agent/authority/services/access.h"
#include "agent/authority/services/authority_state.h"
#include "base/h2/server.h"

namespace credence {

/// spire.api.server.svid.v1.SVID, as far as agents use it: signs for entries that the calling agent
/// may serve, and for no others. Threads: core thread.
class SvidApi {
 public:
  struct Options {
    /// For entries that set none.
    std::chrono::seconds x509_life{std::chrono::hours(1)};
    std::chrono::seconds jwt_life{std::chrono::minutes(5)};
    /// The "iss" of JWT-SVIDs: the URL of the OIDC issuer. "" leaves it out.
    std::string jwt_issuer;
  };

  SvidApi(AuthorityState& state,
          Access& access,
          asio::thread_pool& pool,
          const Clock& clock,
          Options options)
      : state_(state), access_(access), pool_(pool), clock_(clock), options_(std::move(options)) {}

  void RegisterForAgents(h2::Server& server);

 private:
  Task<h2::UnaryReply> BatchNewX509(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> NewJwt(std::shared_ptr<h2::ServerCall> call, std::string request);

  /// nullptr unless the agent may serve it.
  StoredEntry Authorized(const std::string& entry_id, const std::string& agent_id) const;

  AuthorityState& state_;
  Access& access_;
  asio::thread_pool& pool_;
  const Clock& clock_;
  Options options_;
};

}  // namespace credence
