#pragma once

#include <chrono>
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
};

/// Ends credentials at their vendors. Each attempt is in the audit log; one that ends nothing says
/// how long the credential stays usable. Threads: core thread. References outlive it.
class Revoker {
 public:
  struct Options {
    /// Longest for one call to a vendor.
    std::chrono::milliseconds attempt_timeout{10'000};
    /// Calls for one credential.
    int attempts = 5;
    /// Waits before those that failed are tried again.
    Backoff::Options retry{.initial = std::chrono::milliseconds(1'000),
                           .cap = std::chrono::milliseconds(60'000),
                           .factor = 4};
  };

  Revoker(const Clock& clock, AuditSink& audit, Options options)
      : clock_(clock), audit_(audit), options_(options) {}

  /// One call after the other, then again for those that failed for a reason that may pass, as long
  /// as they are valid. For credentials of one destination, so that none waits for another vendor.
  Task<void> Run(std::vector<Revocation> revocations);

 private:
  enum class Outcome { kOver, kTryAgain };
  Task<Outcome> Attempt(Revocation revocation);

  const Clock& clock_;
  AuditSink& audit_;
  Options options_;
};

}  // namespace credence
