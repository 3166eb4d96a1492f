#include "agent/cli/check/finding.h"

#include <utility>

#include <boost/json/object.hpp>
#include <fmt/format.h>

#include "agent/cli/output.h"
#include "base/rpc/foreign_text.h"

namespace credence {

const char* VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kFailed:
      return "failed";
    case Verdict::kSkipped:
      return "skipped";
  }
  return "failed";
}

Finding Passed(std::string check, std::string_view detail) {
  return Finding{std::move(check), Verdict::kOk, ForeignText(detail), ""};
}

Finding Failed(std::string check, std::string_view detail, std::string_view fix) {
  return Finding{std::move(check), Verdict::kFailed, ForeignText(detail), ForeignText(fix)};
}

Finding Skipped(std::string check, std::string_view detail) {
  return Finding{std::move(check), Verdict::kSkipped, ForeignText(detail), ""};
}

void PrintFindings(const std::vector<Finding>& findings) {
  for (const Finding& finding : findings) {
    PrintLine(fmt::format(
        "{:<8} {:<11} {}", VerdictName(finding.verdict), finding.check, finding.detail));
    if (!finding.fix.empty()) {
      PrintLine(fmt::format("{:<8} {:<11} fix: {}", "", "", finding.fix));
    }
  }
}

boost::json::array FindingsAsJson(const std::vector<Finding>& findings) {
  boost::json::array array;
  for (const Finding& finding : findings) {
    array.push_back({{"check", finding.check},
                     {"result", VerdictName(finding.verdict)},
                     {"detail", finding.detail},
                     {"fix", finding.fix}});
  }
  return array;
}

}  // namespace credence
