#include "agent/cli/check/finding.h"

#include <algorithm>
#include <utility>

#include <boost/json/object.hpp>
#include <fmt/format.h>

#include "agent/cli/output.h"

namespace credence {
namespace {

/// Some of it comes from the vendor or from an issuer: no control characters for a terminal.
std::string OneLine(std::string text) {
  std::replace_if(
      text.begin(),
      text.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; },
      ' ');
  return text;
}

}  // namespace

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

Finding Passed(std::string check, std::string detail) {
  return Finding{std::move(check), Verdict::kOk, OneLine(std::move(detail)), ""};
}

Finding Failed(std::string check, std::string detail, std::string fix) {
  return Finding{
      std::move(check), Verdict::kFailed, OneLine(std::move(detail)), OneLine(std::move(fix))};
}

Finding Skipped(std::string check, std::string detail) {
  return Finding{std::move(check), Verdict::kSkipped, OneLine(std::move(detail)), ""};
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
