#pragma once

#include <string>
#include <string_view>

#include <boost/json/value.hpp>

#include "agent/cli/agent_client.h"
#include "agent/cli/exit_code.h"

namespace credence {

enum class OutputFormat { kHuman, kJson };

/// Writes to standard output and ends the line.
void PrintLine(std::string_view text);
/// Indented JSON.
void PrintJson(const boost::json::value& value);

/// Says on standard error what was refused, which fact differed and what would fix it; with kJson
/// one JSON object on standard output instead. Returns the exit code that fits.
ExitCode ReportRefusal(const RefusedCall& refused, OutputFormat format);
/// One line "credence: message" on standard error.
void ReportError(std::string_view message);
/// The same; with kJson one JSON object on standard output instead.
void ReportError(const Error& error, OutputFormat format);

/// Writes out what standard output still holds. Errors: kInternal if any of it was lost since the
/// program started.
Result<void> FinishOutput();

/// Text in single quotes for a POSIX shell.
std::string ShellQuote(std::string_view text);

/// "2026-11-22T02:30:00Z (in 4m30s)"; "never" for 0.
std::string DescribeTime(std::int64_t unix_seconds);

}  // namespace credence
