#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "agent/config/resources.h"
#include "agent/exchange/audit_event.h"
#include "agent/exchange/broker_refusal.h"
#include "agent/exchange/exchanger.h"
#include "agent/exchange/fresh_jwt_source.h"
#include "agent/exchange/policy.h"
#include "agent/exchange/revoker.h"
#include "agent/exchange/uid_budget.h"
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
  /// Least life that should be left. One that cannot be had is answered with the longest there is,
  /// and a credential in the first fifth of its life always serves.
  std::chrono::seconds min_ttl{0};
  Deadline deadline = Deadline::After(std::chrono::seconds(30));
};

struct IssuedCredential {
  SharedCredential credential;
  /// Says `expires_at`, not the vendor's expiry.
  Delivery delivery;
  /// The vendor's expiry, the limit of grant or destination, or the end of the grant, whichever is
  /// earliest. Hand out this, not the credential's own.
  WallTime expires_at;
  /// When to ask again; not after expires_at.
  WallTime refresh_at;
  std::string spiffe_id;
  std::string grant;
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
/// One exchange at a time runs for an (identity, destination, parameters, max_ttl), however many
/// callers wait; each attempt spends a JWT-SVID that was never sent before. Each destination has
/// its own limit of calls and its own circuit, so one that hangs costs the others nothing. When a
/// reload, or its own end, takes the last grant of a credential away, no call to the vendor begins
/// any more and the credential is revoked there, if the vendor can and no later reload gives it
/// back within a grace.
/// Threads: core thread. References outlive the broker.
class Broker {
 public:
  struct Options {
    Exchanger::Options exchange;
    Revoker::Options revocation;
    /// Longest for one exchange with all its retries. It goes on for the next caller when its
    /// callers have left.
    std::chrono::milliseconds exchange_timeout{60'000};
    /// Credentials held in all, and for one identity at one destination (parameters differ).
    std::size_t max_credentials = 10'000;
    std::size_t max_per_identity = 64;
    /// PolicyContext::own_authority as it is now; null for false.
    std::function<bool()> own_authority;
    /// Requests of one user, so that none can fill the disk with audit events: those that are
    /// decided, and those that may be refused.
    UidBudget::Options decisions{.burst = 20'000, .per_second = 1'000};
    UidBudget::Options refusals{
        .burst = 200, .per_second = 5, .burst_of_all = 5'000, .per_second_of_all = 50};
    /// Waits between background refreshes that fail.
    Backoff::Options refresh_retry{.initial = std::chrono::milliseconds(5'000),
                                   .cap = std::chrono::milliseconds(60'000)};
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

  /// Never fails in any other way than a refusal. A caller that is cancelled leaves its exchange
  /// running for the next.
  Task<BrokerAnswer> Get(CredentialQuery query);

  /// The destinations the caller may use. The pointers hold until the resources change: use them
  /// before suspending.
  std::vector<Allowance> List(const PolicyQuery& query) const;

  /// What Get would decide now; it is not written down. The pointers are as those of List.
  Decision Preview(const PolicyQuery& query) const;

  /// Credentials held now.
  std::size_t size() const;

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

}  // namespace credence
