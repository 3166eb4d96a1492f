#include "agent/cli/output.h"

#include <cerrno>
#include <cstdio>

#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "base/core/clock.h"
#include "base/core/file.h"
#include "base/core/secret_bytes.h"

namespace credence {
namespace {

void PrintIndented(const boost::json::value& value, std::string& out, std::size_t depth) {
  const std::string inner((depth + 1) * 2, ' ');
  if (const auto* object = value.if_object(); object != nullptr && !object->empty()) {
    out += "{\n";
    for (std::size_t i = 0; const auto& member : *object) {
      out += inner + boost::json::serialize(member.key()) + ": ";
      PrintIndented(member.value(), out, depth + 1);
      out += ++i < object->size() ? ",\n" : "\n";
    }
    out += std::string(depth * 2, ' ') + "}";
  } else if (const auto* array = value.if_array(); array != nullptr && !array->empty()) {
    out += "[\n";
    for (std::size_t i = 0; const auto& element : *array) {
      out += inner;
      PrintIndented(element, out, depth + 1);
      out += ++i < array->size() ? ",\n" : "\n";
    }
    out += std::string(depth * 2, ' ') + "]";
  } else {
    out += boost::json::serialize(value);
  }
}

void PrintErrorJson(const RefusedCall& refused) {
  PrintJson({{"error",
              {{"code", CodeName(refused.error.code())},
               {"message", refused.error.message()},
               {"fact", refused.fact},
               {"fix", refused.fix},
               {"decision_id", refused.decision_id}}}});
}

}  // namespace

void PrintLine(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fputc('\n', stdout);
}

void PrintJson(const boost::json::value& value) {
  std::string text;
  PrintIndented(value, text, 0);
  // It may hold a credential.
  const WipeOnExit wiped(text);
  PrintLine(text);
}

ExitCode ReportRefusal(const RefusedCall& refused, OutputFormat format) {
  const ExitCode exit_code = ExitCodeFor(refused.error.code());
  if (format == OutputFormat::kJson) {
    PrintErrorJson(refused);
    return exit_code;
  }
  std::string text = fmt::format("credence: {}: {}\n",
                                 exit_code == ExitCode::kDenied ? "denied" : "failed",
                                 refused.error.message());
  if (!refused.fact.empty() && refused.fact != refused.error.message()) {
    text += fmt::format("  fact: {}\n", refused.fact);
  }
  if (!refused.fix.empty()) {
    text += fmt::format("  fix:  {}\n", refused.fix);
  }
  if (!refused.decision_id.empty()) {
    text += fmt::format("  decision: {}\n", refused.decision_id);
  }
  std::fwrite(text.data(), 1, text.size(), stderr);
  return exit_code;
}

void ReportError(std::string_view message) {
  const std::string text = fmt::format("credence: {}\n", message);
  std::fwrite(text.data(), 1, text.size(), stderr);
}

void ReportError(const Error& error, OutputFormat format) {
  if (format == OutputFormat::kJson) {
    PrintErrorJson(RefusedCall{error});
  } else {
    ReportError(error.message());
  }
}

Result<void> FinishOutput() {
  // After a failed flush, errno says why; a failure before that left only the mark.
  if (std::fflush(stdout) != 0) {
    return Error(Code::kInternal, fmt::format("write standard output: {}", ErrnoText(errno)));
  }
  if (std::ferror(stdout) != 0) {
    return Error(Code::kInternal, "part of standard output could not be written");
  }
  return Ok();
}

std::string ShellQuote(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return quoted + "'";
}

std::string DescribeTime(std::int64_t unix_seconds) {
  if (unix_seconds == 0) {
    return "never";
  }
  const std::int64_t away = unix_seconds - ToUnixSeconds(SystemClock().Now());
  if (away == 0) {
    return FormatRfc3339(FromUnixSeconds(unix_seconds)) + " (now)";
  }
  const std::string distance = FormatDuration(std::chrono::seconds(away < 0 ? -away : away));
  return fmt::format("{} ({})",
                     FormatRfc3339(FromUnixSeconds(unix_seconds)),
                     away < 0 ? distance + " ago" : "in " + distance);
}

}  // namespace credence
