#pragma once

#include <string>
#include <vector>

#include <boost/json/array.hpp>

namespace credence {

enum class Verdict { kOk, kFailed, kSkipped };

/// "ok", "failed" or "skipped".
const char* VerdictName(Verdict verdict);

/// What came out of looking at one precondition.
struct Finding {
  /// Which one, in a word.
  std::string check;
  Verdict verdict = Verdict::kOk;
  /// What was found, or why nothing was looked at.
  std::string detail;
  /// How to mend what failed.
  std::string fix;
};

Finding Passed(std::string check, std::string detail);
Finding Failed(std::string check, std::string detail, std::string fix);
Finding Skipped(std::string check, std::string detail);

/// A line for each, and one for each fix.
void PrintFindings(const std::vector<Finding>& findings);
boost::json::array FindingsAsJson(const std::vector<Finding>& findings);

}  // namespace credence
