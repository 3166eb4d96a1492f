#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "base/core/result.h"

namespace credence {

enum class LogLevel { kDebug, kInfo, kWarn, kError };
enum class LogFormat { kText, kJson };

/// One fact of a log line. The value is any formattable thing; a secret does not compile. Control
/// characters and quotes in it are escaped when written, so that foreign text cannot forge a line.
struct LogField {
  template <class T>
  LogField(std::string_view field_key, const T& field_value)
      : key(field_key), value(fmt::format("{}", field_value)) {}
  LogField(std::string_view field_key, const Error& error)
      : key(field_key), value(error.ToString()) {}

  std::string_view key;
  std::string value;
};

/// Where and how to log. Before the first call: text at info level on stderr.
struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
  /// "" is standard output.
  std::string file;
};

/// Errors: kInvalidArgument and the like if the file cannot be opened; the old log then stays.
Result<void> SetUpLog(const LogOptions& options);
/// Opens the log file again after rotation. A failure keeps the old one and is logged there.
void ReopenLog();

/// "debug", "info", "warn" ("warning"), "error", "fatal" and "panic" in any case, as SPIRE's
/// log_level.
Result<LogLevel> ParseLogLevel(std::string_view text);

bool LogEnabled(LogLevel level);

/// A fixed, sentence-case message; what varies goes into fields with constant keys.
void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields);
inline void LogDebug(std::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kDebug, message, fields);
}
inline void LogInfo(std::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kInfo, message, fields);
}
inline void LogWarn(std::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kWarn, message, fields);
}
inline void LogError(std::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogLevel::kError, message, fields);
}

}  // namespace credence
