#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/core/result.h"
#include "base/svid/jwt_svid.h"

#include "credence/credential/v1/credential.grpc.pb.h"

namespace credence {

/// Why the agent refused, for a human: ForeignText, some of it a server's.
struct RefusedCall {
  Error error;
  /// Which fact differed; "" when the agent did not say.
  std::string fact{};
  /// What would make the call succeed; "" when the agent did not say.
  std::string fix{};
  std::string decision_id{};
};

/// A reply or a refusal.
template <class Reply>
struct CallOutcome {
  std::shared_ptr<const Reply> reply;
  /// Set when `reply` is null.
  RefusedCall refused{Error(Code::kInternal, "not called")};
};

/// Overwrites every secret value of `reply`.
void WipeSecrets(credential::v1::GetCredentialResponse& reply);

/// The running agent, as the command line sees it. Blocking calls, each on a connection of its own
/// (ConnectToAgent) and bounded by `timeout`. Replies are wiped when the last holder lets go.
class AgentClient {
 public:
  /// `socket_path` as found by FindSocket.
  AgentClient(std::string socket_path, std::chrono::milliseconds timeout)
      : socket_path_(std::move(socket_path)), timeout_(timeout) {}

  /// Gives up with kCancelled when one of the descriptors `interrupts` becomes readable.
  CallOutcome<credential::v1::GetCredentialResponse> GetCredential(
      const credential::v1::GetCredentialRequest& request,
      const std::vector<int>& interrupts = {}) const;
  CallOutcome<credential::v1::ListDestinationsResponse> ListDestinations() const;
  CallOutcome<credential::v1::CheckDestinationResponse> CheckDestination(
      const credential::v1::CheckDestinationRequest& request) const;
  CallOutcome<credential::v1::GetStatusResponse> GetStatus() const;

  /// A JWT-SVID of this process from the Workload API, which the agent serves on the same socket.
  CallOutcome<JwtSvid> FetchJwtSvid(const std::string& spiffe_id,
                                    const std::vector<std::string>& audience) const;

 private:
  std::string socket_path_;
  std::chrono::milliseconds timeout_;
};

}  // namespace credence
