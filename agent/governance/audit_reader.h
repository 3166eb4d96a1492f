#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/exchange/audit_event.h"
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

/// The latest `limit` events that fit. Reads from the end, so a long log costs only what is shown.
/// Errors: as CodeFromErrno, naming the path.
Result<AuditPage> ReadAuditLog(const std::string& path,
                               const AuditFilter& filter,
                               std::size_t limit);

/// One line of the log, as it stands in the file, with its newline.
std::string EncodeAuditLine(const AuditEvent& event);
/// Errors: kInvalidArgument.
Result<AuditEvent> DecodeAuditLine(std::string_view line);

/// One line for humans, without newline; control characters are escaped.
std::string FormatAuditLine(const AuditEvent& event);

}  // namespace credence
