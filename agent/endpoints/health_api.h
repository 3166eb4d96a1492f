#pragma once

#include <memory>
#include <string>

#include "agent/identity/identity_store.h"
#include "base/h2/server.h"
#include "base/h2/server_call.h"

namespace credence {

/// gRPC health checking (grpc.health.v1.Health) for probes on the node. It knows the service "",
/// the agent as a whole: SERVING from the first sync on, which takes the agent's own SVID. A server
/// that goes away later changes nothing, as what is valid goes on being served. No probe sends the
/// Workload API's security header, and none is attested.
/// Threads: core thread.
class HealthApi {
 public:
  /// `store` outlives the server that the methods are registered with.
  explicit HealthApi(IdentityStore& store) : store_(store) {}

  void Register(h2::Server& server);

  /// The methods themselves; Register makes them answer on the wire.
  Task<h2::UnaryReply> Check(std::shared_ptr<h2::ServerCall> call, std::string bytes);
  Task<h2::Status> Watch(std::shared_ptr<h2::ServerCall> call);

 private:
  IdentityStore& store_;
};

}  // namespace credence
