#pragma once

#include <string>
#include <string_view>

#include "agent/exchange/audit_event.h"
#include "base/core/result.h"

namespace credence {

/// "decision", "exchange".
std::string_view AuditKindName(AuditKind kind);
Result<AuditKind> ParseAuditKind(std::string_view text);
/// "allowed", "denied", "failed".
std::string_view AuditResultName(AuditResult result);
Result<AuditResult> ParseAuditResult(std::string_view text);

/// One line of the log with its newline: a JSON object in printable ASCII, less than 1 MiB; empty
/// members are left out. Other characters are written as \u00e4 and so on, bytes that are no UTF-8
/// as U+FFFD, and over-long texts are cut.
std::string EncodeAuditLine(const AuditEvent& event);
/// Unknown members are ignored. Errors: kInvalidArgument naming the member.
Result<AuditEvent> DecodeAuditLine(std::string_view text);

/// One line for humans, without newline, in printable ASCII: each other byte as \xc3.
std::string FormatAuditLine(const AuditEvent& event);

}  // namespace credence
