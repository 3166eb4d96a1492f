#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/process/caller.h"
#include "base/spiffe/selector.h"

namespace credence {

/// The process an event is about.
struct AuditSubject {
  /// "" when no identity was found.
  std::string spiffe_id;
  SelectorSet selectors;
  pid_t pid = 0;
  uid_t uid = 0;
  /// Clock ticks since boot; with pid it names one process for ever.
  std::uint64_t start_time = 0;
  /// Path of its executable as the kernel shows it.
  std::string executable;
  Assurance assurance = Assurance::kOpenedByPid;
};

enum class AuditKind {
  /// May this caller have a credential? One for each request, and another if the answer changed.
  kDecision,
  /// A call to a vendor: exchange, renew or revoke. One for each attempt.
  kExchange,
};

enum class AuditResult { kAllowed, kDenied, kFailed };

/// One line of the audit log. Holds no secret.
struct AuditEvent {
  AuditKind kind = AuditKind::kDecision;
  WallTime time;
  std::string decision_id;
  /// One exchange with all its attempts; also on the decisions that waited for it and on those that
  /// were answered with its credential or its refusal from the cache.
  std::string exchange_id;
  AuditResult result = AuditResult::kDenied;
  AuditSubject subject;
  std::string destination;
  /// Name of the grant that allowed, or came nearest.
  std::string grant;
  /// For kDecision "get"; for kExchange "exchange", "renew" or "revoke".
  std::string action;
  /// Which rule matched or failed, and which fact differed.
  std::string reason;
  /// What would make a denied request succeed.
  std::string fix;
  /// An ExchangeFailure name, for a failed exchange.
  std::string failure;
  /// The vendor's.
  std::string request_id;
  std::optional<WallTime> expires_at;
  /// A cached credential was handed out, no vendor was called.
  bool from_cache = false;
};

/// Where events go. The exchange declares it; governance writes it to disk.
class AuditSink {
 public:
  virtual ~AuditSink() = default;

  /// Returns once the event is safe: on the disk if it is about an exchange or a decision that
  /// leads to one; otherwise written, so that it survives the agent. Errors: any; then nothing that
  /// the event announces may happen.
  virtual Task<Result<void>> Write(AuditEvent event) = 0;
};

}  // namespace credence
