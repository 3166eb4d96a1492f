#include "base/core/log.h"

#include <chrono>
#include <memory>
#include <mutex>

#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <boost/json/value.hpp>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "base/core/clock.h"

namespace credence {
namespace {

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

std::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

struct State {
  LogOptions options;
  std::shared_ptr<spdlog::logger> logger;
};

/// The log is the one thing every layer and every thread may reach without being handed it. A new
/// set-up replaces the whole state; a line being written keeps the old one alive.
class LogHolder {
 public:
  std::shared_ptr<const State> Get() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return state_;
  }
  void Set(State state) {
    auto next = std::make_shared<const State>(std::move(state));
    const std::lock_guard<std::mutex> lock(mutex_);
    state_.swap(next);
  }

 private:
  static State StandardError() {
    auto logger = std::make_shared<spdlog::logger>(
        "credence", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_pattern("%v");
    return State{LogOptions{}, std::move(logger)};
  }

  std::mutex mutex_;
  std::shared_ptr<const State> state_ = std::make_shared<const State>(StandardError());
};

LogHolder& TheLog() {
  static LogHolder holder;
  return holder;
}

/// A JSON string literal, which is also a safe way to quote foreign text in a text line.
std::string Quote(std::string_view text) {
  // DEL is not escaped, and bytes outside ASCII may not be valid UTF-8, which the serializer would
  // pass through.
  std::string clean(text);
  for (char& c : clean) {
    if (static_cast<unsigned char>(c) >= 0x7f) {
      c = '?';
    }
  }
  return boost::json::serialize(boost::json::value(clean));
}

bool NeedsQuotes(std::string_view text) {
  if (text.empty()) {
    return true;
  }
  for (const char c : text) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f ||
        static_cast<unsigned char>(c) >= 0x80) {
      return true;
    }
  }
  return false;
}

Result<std::shared_ptr<spdlog::logger>> OpenLogger(const LogOptions& options) {
  try {
    spdlog::sink_ptr sink;
    if (options.file.empty()) {
      sink = std::make_shared<spdlog::sinks::stdout_sink_mt>();
    } else {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file);
    }
    auto logger = std::make_shared<spdlog::logger>("credence", std::move(sink));
    logger->set_pattern("%v");
    logger->set_level(ToSpdlog(options.level));
    logger->flush_on(spdlog::level::debug);
    // A full disk must not end the agent, and must not fill stderr either.
    logger->set_error_handler([](const std::string&) {});
    return logger;
  } catch (const spdlog::spdlog_ex& failure) {
    return Error(Code::kInvalidArgument,
                 fmt::format("log file {}: {}", options.file, failure.what()));
  }
}

}  // namespace

Result<void> SetUpLog(const LogOptions& options) {
  auto logger = OpenLogger(options);
  if (!logger.ok()) {
    return std::move(logger).error();
  }
  TheLog().Set(State{options, *std::move(logger)});
  return Ok();
}

void ReopenLog() {
  const LogOptions options = TheLog().Get()->options;
  if (auto reopened = SetUpLog(options); !reopened.ok()) {
    LogError("Could not reopen the log file", {{"error", reopened.error()}});
  }
}

Result<LogLevel> ParseLogLevel(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  if (lower == "debug" || lower == "trace") {
    return LogLevel::kDebug;
  }
  if (lower == "info") {
    return LogLevel::kInfo;
  }
  if (lower == "warn" || lower == "warning") {
    return LogLevel::kWarn;
  }
  if (lower == "error" || lower == "fatal" || lower == "panic") {
    return LogLevel::kError;
  }
  return Error(Code::kInvalidArgument,
               fmt::format("\"{}\" is not a log level: expected debug, info, warn or error", text));
}

bool LogEnabled(LogLevel level) {
  return TheLog().Get()->logger->should_log(ToSpdlog(level));
}

void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  const std::shared_ptr<const State> state = TheLog().Get();
  if (!state->logger->should_log(ToSpdlog(level))) {
    return;
  }
  const std::string time = FormatRfc3339Millis(SystemClock().Now());
  std::string line;
  if (state->options.format == LogFormat::kJson) {
    line = fmt::format(
        R"({{"time":"{}","level":"{}","msg":{})", time, LevelName(level), Quote(message));
    for (const LogField& field : fields) {
      line += fmt::format(",{}:{}", Quote(field.key), Quote(field.value));
    }
    line += "}";
  } else {
    line = fmt::format("time={} level={} msg={}", time, LevelName(level), Quote(message));
    for (const LogField& field : fields) {
      line += fmt::format(
          " {}={}", field.key, NeedsQuotes(field.value) ? Quote(field.value) : field.value);
    }
  }
  state->logger->log(ToSpdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace credence
