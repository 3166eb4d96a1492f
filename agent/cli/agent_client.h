#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "base/core/result.h"

#include "credence/credential/v1/credential.grpc.pb.h"

namespace credence {

/// Why the agent refused, for a human.
struct RefusedCall {
  Error error;
  /// Which fact differed; "" when the agent did not say.
  std::string fact;
  /// What would make the call succeed; "" when the agent did not say.
  std::string fix;
  std::string decision_id;
};

/// A reply or a refusal.
template <class Reply>
struct CallOutcome {
  std::shared_ptr<Reply> reply;
  /// Set when `reply` is null.
  RefusedCall refused{Error(Code::kInternal, "not called"), "", "", ""};
};

/// The running agent, as the command line sees it. Blocking calls, each bounded by `timeout`.
class AgentClient {
 public:
  /// `socket_path` as found by FindSocket.
  AgentClient(const std::string& socket_path, std::chrono::milliseconds timeout);

  CallOutcome<credential::v1::GetCredentialResponse> GetCredential(
      const credential::v1::GetCredentialRequest& request);
  CallOutcome<credential::v1::ListDestinationsResponse> ListDestinations();
  CallOutcome<credential::v1::GetStatusResponse> GetStatus();

 private:
  std::string socket_path_;
  std::chrono::milliseconds timeout_;
  std::unique_ptr<credential::v1::CredentialAPI::Stub> stub_;
};

/// Where the agent listens: `flag` if not empty, else CREDENCE_SOCKET (a path), else
/// SPIFFE_ENDPOINT_SOCKET (unix:///path), else /tmp/spire-agent/public/api.sock. Errors:
/// kInvalidArgument for an address that is no Unix socket. Source: SPIFFE Workload Endpoint
/// section 4.
Result<std::string> FindSocket(const std::string& flag);

}  // namespace credence
