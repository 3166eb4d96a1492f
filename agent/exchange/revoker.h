#pragma once

#include <chrono>
#include <functional>
#include <utility>
#include <vector>

#include "agent/exchange/audit_event.h"
#include "agent/exchange/exchanger.h"
#include "base/core/backoff.h"
#include "base/core/clock.h"
#include "base/core/task.h"
#include "plugins/contract/destination_adapter.h"

namespace credence {

/// A credential that no grant gives to anyone any more.
struct Revocation {
  /// The request that used it last; its target is the destination that gave the credential.
  ExchangeOrder order;
  SharedCredential credential;
  /// An attempt got no answer or none that makes sense, so the vendor may have ended it.
  bool unknown = false;
};

/// Ends credentials at their vendors, after a grace, because that cannot be taken back. Each
/// attempt is in the audit log; one that ends nothing says how long the credential stays usable.
/// Threads: core thread. References outlive it.
class Revoker {
 public:
  struct Options {
    /// A grant that is back by then was lost by mistake.
    std::chrono::milliseconds grace{10'000};
    /// Longest for one call to a vendor.
    std::chrono::milliseconds attempt_timeout{10'000};
    /// Calls for one credential.
    int attempts = 5;
    /// Waits before those that failed are tried again.
    Backoff::Options retry{.initial = std::chrono::milliseconds(1'000),
                           .cap = std::chrono::milliseconds(60'000),
                           .factor = 4};
  };

  /// Whether the present resources let the identity of an order use its destination.
  using Granted = std::function<bool(const ExchangeOrder&)>;

  Revoker(const Clock& clock, AuditSink& audit, Options options, Granted granted)
      : clock_(clock), audit_(audit), options_(options), granted_(std::move(granted)) {}

  /// One call after the other, then again for those that failed for a reason that may pass, as long
  /// as they are valid and not granted again. For credentials of one destination, so that none
  /// waits for another vendor.
  Task<void> Run(std::vector<Revocation> revocations);

 private:
  enum class Outcome {
    kOver,
    kTryAgain,
    /// Try again, but the vendor may have ended it.
    kUnknown,
  };
  static Outcome OutcomeOf(const Result<void>& revoked);
  /// Asked anew before every attempt: meanwhile resources were read again.
  bool Wanted(const Revocation& revocation) const;
  Task<Outcome> Attempt(Revocation revocation);

  const Clock& clock_;
  AuditSink& audit_;
  Options options_;
  Granted granted_;
};

}  // namespace credence
