#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/authority/services/authority_state.h"
#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/h2/server_call.h"

namespace credence {

/// Who a call comes from.
struct ApiCaller {
  enum class Kind {
    /// TLS without a certificate.
    kNobody,
    /// An agent whose certificate counts.
    kAgent,
    /// The private Unix socket, or a workload whose entry is marked admin.
    kOperator,
  };
  Kind kind = Kind::kNobody;
  /// "spiffe://..." of an agent or a workload; "" otherwise.
  std::string id;
};

/// Decides who may call what. Threads: core thread.
class Access {
 public:
  Access(AuthorityState& state, const Clock& clock) : state_(state), clock_(clock) {}

  /// For the TLS server: whether a client may show this chain. Checks path and form against the own
  /// trust domain's authorities as they are now; what it may do is decided for each call.
  bool AcceptsClient(const std::vector<std::string>& chain) const;

  /// An agent in good standing, whose certificate is its newest; the first use of a renewed
  /// certificate is written down. Else a PERMISSION_DENIED status whose details tell the agent what
  /// to do. Source: spire.api.types.PermissionDeniedDetails.
  Task<std::variant<ApiCaller, h2::Status>> RequireAgent(std::shared_ptr<h2::ServerCall> call);
  /// The private socket or an admin. nullopt, or the refusal.
  std::optional<h2::Status> RefusalOfOperator(const h2::ServerCall& call) const;
  /// Either.
  Task<std::variant<ApiCaller, h2::Status>> RequireAgentOrOperator(
      std::shared_ptr<h2::ServerCall> call);

 private:
  AuthorityState& state_;
  const Clock& clock_;
};

/// PERMISSION_DENIED with a reason that an agent acts on.
h2::Status AgentRefusal(spire::api::types::PermissionDeniedDetails::Reason reason,
                        const std::string& message);

}  // namespace credence
