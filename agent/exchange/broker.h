#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "agent/config/resources.h"
#include "agent/exchange/audit_event.h"
#include "agent/exchange/fresh_jwt_source.h"
#include "agent/exchange/policy.h"
#include "base/core/backoff.h"
#include "base/core/clock.h"
#include "base/core/deadline.h"
#include "base/core/task.h"
#include "base/core/watch.h"
#include "plugins/contract/destination_adapter.h"

namespace credence {

/// One request for a credential.
struct CredentialQuery {
  /// Who asks: pid, uid, start time, executable, assurance and selectors as attested. The broker
  /// fills in spiffe_id.
  AuditSubject subject;
  /// In the order in which the Workload API serves them.
  std::vector<HeldIdentity> identities;
  std::string destination;
  /// Ask for this identity only.
  std::optional<SpiffeId> spiffe_id;
  Settings parameters;
  /// Least life that should be left; more than a fresh credential has is answered with a fresh one.
  std::chrono::seconds min_ttl{0};
  Deadline deadline = Deadline::After(std::chrono::seconds(30));
};

struct IssuedCredential {
  SharedCredential credential;
  /// The vendor's expiry or the grant's limit, whichever is earlier. Hand out this, not the
  /// credential's own.
  WallTime expires_at;
  /// When to ask again; before expires_at.
  WallTime refresh_at;
  std::string spiffe_id;
  std::string grant;
};

struct BrokerRefusal {
  /// kPermissionDenied, kNotFound, kInvalidArgument: the request will not succeed as it is.
  /// kUnavailable, kResourceExhausted, kDeadlineExceeded: it may later. kFailedPrecondition: the
  /// set-up at the server or the vendor has to change.
  Code code = Code::kPermissionDenied;
  /// Which fact differed, or what failed.
  std::string fact;
  /// What would make it succeed; may be "".
  std::string fix;
  /// When trying again makes sense, if known.
  std::optional<WallTime> retry_at;
};

struct BrokerAnswer {
  /// Finds the decision in the audit log; "" if none was reached.
  std::string decision_id;
  /// nullopt: refused.
  std::optional<IssuedCredential> issued;
  BrokerRefusal refusal;
};

/// Decides on requests for credentials, and gets, caches and refreshes them.
///
/// A decision is in the audit log before its credential leaves, and so is every call to a vendor.
/// One exchange at a time runs for an (identity, destination, parameters), however many callers
/// wait; each attempt spends a JWT-SVID that was never sent before. Each destination has its own
/// limit of calls and its own circuit, so one that hangs costs the others nothing. Threads: core
/// thread. References outlive the broker.
class Broker {
 public:
  struct Options {
    /// Longest for one call to a vendor, and for one exchange with all its retries.
    std::chrono::milliseconds attempt_timeout{30'000};
    std::chrono::milliseconds exchange_timeout{60'000};
    /// Calls to one destination at a time, and how many more may wait for their turn.
    std::size_t concurrency = 8;
    std::size_t max_waiting = 256;
    /// Credentials held in all, and for one identity at one destination (parameters differ).
    std::size_t max_credentials = 10'000;
    std::size_t max_per_identity = 64;
    /// How long a "no" from a vendor is remembered.
    std::chrono::milliseconds denial_memory{30'000};
    Backoff::Options retry{.initial = std::chrono::milliseconds(500),
                           .cap = std::chrono::milliseconds(10'000)};
    /// Waits between tries while a vendor's trust configuration spreads.
    std::chrono::milliseconds propagation_wait{10'000};
    /// JWT-SVIDs without jti that are signed in one second may be the same bytes; how long to wait
    /// for another.
    std::chrono::milliseconds repeated_svid_wait{1'100};
  };

  Broker(asio::any_io_executor executor,
         const Clock& clock,
         Watch<SharedResources>& resources,
         FreshJwtSource& jwt_source,
         AuditSink& audit,
         Options options);
  ~Broker();

  /// Follows `resources` and refreshes credentials in the background from now on.
  void Start();
  /// Ends what runs; waiting callers are refused with kUnavailable. Credentials in use elsewhere
  /// are not revoked: their workloads go on. May be called more than once.
  Task<void> Stop();

  /// For the commands in refusals.
  void SetAgentId(std::string agent_id);

  /// Never fails in any other way than a refusal.
  Task<BrokerAnswer> Get(CredentialQuery query);

  /// The destinations the caller may use. The pointers hold until the resources change: use them
  /// before suspending.
  std::vector<Allowance> List(const PolicyQuery& query) const;

  /// Credentials held now.
  std::size_t size() const;

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace credence
