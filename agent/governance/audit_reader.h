#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/exchange/audit_event.h"
#include "agent/governance/audit_line.h"
#include "base/core/clock.h"
#include "base/core/result.h"

namespace credence {

/// Which events to show; unset members fit every event.
struct AuditFilter {
  std::optional<AuditKind> kind;
  std::optional<AuditResult> result;
  std::string spiffe_id;
  std::string destination;
  std::string decision_id;
  std::optional<uid_t> uid;
  std::optional<WallTime> since;

  bool Fits(const AuditEvent& event) const;
};

struct AuditPage {
  /// Oldest first. Selectors are as the log shows them.
  std::vector<AuditEvent> events;
  /// Lines seen on the way that are not events.
  std::size_t malformed = 0;
};

/// The latest `limit` events that fit. Reads from the end, so a long log costs only what is shown;
/// with `since` it stops at an event from an hour before it, so that a clock that was set back
/// hides nothing. Errors: as CodeFromErrno, naming the path.
Result<AuditPage> ReadAuditLog(const std::string& path,
                               const AuditFilter& filter,
                               std::size_t limit);

}  // namespace credence
