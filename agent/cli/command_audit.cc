#include <unistd.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "agent/cli/commands.h"
#include "agent/cli/common_flags.h"
#include "agent/cli/up/layout.h"
#include "agent/governance/audit_reader.h"
#include "base/core/clock.h"

namespace credence {
namespace {

struct AuditOptions {
  /// "" for that of `credence up`.
  std::string file;
  std::size_t limit = 100;
  std::string kind;
  std::string result;
  std::string since;
  std::optional<uid_t> uid;
  AuditFilter filter;
  OutputFormat format = OutputFormat::kHuman;
};

/// Where the present user's agent writes.
Result<std::string> DefaultFile() {
  auto layout = LayoutFor(geteuid(), "");
  if (!layout.ok()) {
    return std::move(layout).error();
  }
  return std::move(layout->audit_log);
}

Result<AuditFilter> MakeFilter(const AuditOptions& options) {
  static const std::map<std::string, AuditKind> kKinds{{"decision", AuditKind::kDecision},
                                                       {"exchange", AuditKind::kExchange}};
  static const std::map<std::string, AuditResult> kResults{{"allowed", AuditResult::kAllowed},
                                                           {"denied", AuditResult::kDenied},
                                                           {"failed", AuditResult::kFailed}};
  AuditFilter filter = options.filter;
  if (!options.kind.empty()) {
    filter.kind = kKinds.at(options.kind);
  }
  if (!options.result.empty()) {
    filter.result = kResults.at(options.result);
  }
  filter.uid = options.uid;
  if (!options.since.empty()) {
    if (const auto ago = ParseDuration(options.since); ago.ok()) {
      filter.since = SystemClock().Now() - *ago;
    } else {
      const auto time = ParseTime(options.since);
      if (!time.ok()) {
        return Error(Code::kInvalidArgument,
                     fmt::format("--since {}: expected 10m, 2h, 2026-11-22 or 2026-11-22T02:30:00Z",
                                 options.since));
      }
      filter.since = *time;
    }
  }
  return filter;
}

ExitCode Audit(const AuditOptions& options) {
  const auto filter = MakeFilter(options);
  if (!filter.ok()) {
    ReportError(filter.error(), options.format);
    return ExitCode::kBadUsage;
  }
  const auto file = options.file.empty() ? DefaultFile() : Result<std::string>(options.file);
  if (!file.ok()) {
    ReportError(file.error(), options.format);
    return ExitCode::kBadUsage;
  }
  const auto page = ReadAuditLog(*file, *filter, options.limit);
  if (!page.ok()) {
    ReportError(page.error(), options.format);
    if (page.error().code() != Code::kPermissionDenied) {
      return ExitCode::kFailed;
    }
    ReportError("the audit log is for its owner only: run this as root");
    return ExitCode::kDenied;
  }
  for (const AuditEvent& event : page->events) {
    if (options.format == OutputFormat::kJson) {
      std::string line = EncodeAuditLine(event);
      line.erase(line.find_last_not_of('\n') + 1);
      PrintLine(line);
    } else {
      PrintLine(FormatAuditLine(event));
    }
  }
  if (page->malformed > 0) {
    ReportError(fmt::format("{} lines of {} are no audit events", page->malformed, *file));
  }
  return ExitCode::kOk;
}

}  // namespace

void AddAuditCommand(CLI::App& app, const std::shared_ptr<Action>& action) {
  auto options = std::make_shared<AuditOptions>();
  CLI::App* command = app.add_subcommand("audit", "Show who was given or refused what");
  command->footer(
      "Examples:\n"
      "  credence audit                                       the latest 100 events\n"
      "  credence audit --result denied --since 1h            refusals of the last hour\n"
      "  credence audit --file ~/credence/audit.jsonl         that of `credence up -dataDir "
      "~/credence`\n"
      "  credence audit --decision-id ID --output json        one decision and its exchanges, as "
      "stored");
  command->add_option("--file",
                      options->file,
                      "Audit log to read (/var/log/credence/audit.jsonl; for other users than root "
                      "that of their own `credence up`)");
  command->add_option("--limit", options->limit, "Latest events to show, 1 to 1000000")
      ->check(CLI::Range(1, 1'000'000).description(""))
      ->capture_default_str();
  command->add_option("--kind", options->kind, "Only these: decision or exchange")
      ->check(CLI::IsMember({"decision", "exchange"}).description(""));
  command->add_option("--result", options->result, "Only these: allowed, denied or failed")
      ->check(CLI::IsMember({"allowed", "denied", "failed"}).description(""));
  command->add_option("--destination", options->filter.destination, "Only this destination");
  command->add_option("--spiffe-id", options->filter.spiffe_id, "Only this identity");
  command->add_option("--decision-id", options->filter.decision_id, "Only this decision");
  command->add_option("--uid", options->uid, "Only callers with this user id");
  command->add_option(
      "--since", options->since, "Only later ones: 10m, 2h, 2026-11-22 or 2026-11-22T02:30:00Z");
  AddOutputFlag(*command, options->format);
  command->callback([options, action] { *action = [options] { return Audit(*options); }; });
}

}  // namespace credence
