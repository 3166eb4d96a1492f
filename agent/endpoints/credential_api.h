#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/attestation/attestation.h"
#include "agent/endpoints/agent_status.h"
#include "agent/exchange/broker.h"
#include "agent/identity/identity_service.h"
#include "base/h2/server.h"
#include "base/h2/server_call.h"

namespace credence {

/// Our own service on the Workload API's socket (credence.credential.v1.CredentialAPI): a
/// credential of a destination for the process that asks, the destinations it may use, and the
/// agent's status. Threads: core thread.
class CredentialApi {
 public:
  /// References outlive the server that the methods are registered with.
  CredentialApi(WorkloadAttestation& attestation,
                IdentityService& identities,
                Broker& broker,
                std::function<AgentStatus()> status);

  void Register(h2::Server& server);

  /// The methods themselves; Register makes them answer on the wire.
  Task<h2::UnaryReply> GetCredential(std::shared_ptr<h2::ServerCall> call, std::string bytes);
  Task<h2::UnaryReply> ListDestinations(std::shared_ptr<h2::ServerCall> call, std::string bytes);
  Task<h2::UnaryReply> CheckDestination(std::shared_ptr<h2::ServerCall> call, std::string bytes);
  Task<h2::UnaryReply> GetStatus(std::shared_ptr<h2::ServerCall> call, std::string bytes);

 private:
  /// Errors: kUnavailable before the first sync, when nobody can be told what they may have.
  Result<void> CheckSynced() const;
  std::vector<HeldIdentity> IdentitiesOf(const SelectorSet& selectors) const;

  WorkloadAttestation& attestation_;
  IdentityService& identities_;
  Broker& broker_;
  std::function<AgentStatus()> status_;
};

}  // namespace credence
