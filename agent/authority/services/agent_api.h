#pragma once

#include <chrono>
#include <memory>
#include <string>

#include <boost/asio/thread_pool.hpp>

#include "agent/authority/services/access.h"
#include "agent/authority/services/authority_state.h"
#include "base/h2/server.h"

namespace credence {

/// spire.api.server.agent.v1.Agent: nodes attest by join token, renew, report; operators make
/// tokens, list, evict and ban (agent_administration.cc). Threads: core thread.
class AgentApi {
 public:
  struct Options {
    std::chrono::seconds agent_svid_life{std::chrono::hours(1)};
  };

  AgentApi(AuthorityState& state,
           Access& access,
           asio::thread_pool& pool,
           const Clock& clock,
           Options options)
      : state_(state), access_(access), pool_(pool), clock_(clock), options_(options) {}

  /// What agents call, and what operators call; the latter on the private socket too.
  void RegisterForAgents(h2::Server& server);
  void RegisterForOperators(h2::Server& server);

  /// A token for one node, which then has `alias` as a second SPIFFE ID where that is not null.
  /// Errors: kInvalidArgument, kAlreadyExists, those of storing.
  Task<Result<spire::api::types::JoinToken>> CreateJoinToken(std::chrono::seconds life,
                                                             std::string token,
                                                             std::shared_ptr<const SpiffeId> alias);

 private:
  Task<h2::Status> Attest(std::shared_ptr<h2::ServerCall> call);
  Task<h2::UnaryReply> Renew(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> PostStatus(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> NewJoinToken(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> List(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> Count(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> Get(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> Evict(std::shared_ptr<h2::ServerCall> call, std::string request);
  Task<h2::UnaryReply> Ban(std::shared_ptr<h2::ServerCall> call, std::string request);

  /// Uses up the token and makes the agent known. Errors: kInvalidArgument for a token that is
  /// unknown, used or expired; kPermissionDenied for a banned agent.
  Task<Result<spire::api::types::X509SVID>> AttestByToken(std::string token, std::string csr);
  /// Now and then only, as anybody may try.
  void WarnOfRefusal(const Error& error);
  /// A certificate for an agent; not yet stored.
  Task<Result<struct SignedX509Svid>> SignForAgent(SpiffeId id, std::string csr);

  AuthorityState& state_;
  Access& access_;
  asio::thread_pool& pool_;
  const Clock& clock_;
  Options options_;
  SteadyTime next_warning_;
  std::uint64_t unmentioned_ = 0;
};

}  // namespace credence
