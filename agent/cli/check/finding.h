#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <boost/json/array.hpp>

namespace credence {

enum class Verdict { kOk, kFailed, kSkipped };

/// "ok", "failed" or "skipped".
const char* VerdictName(Verdict verdict);

/// What came out of looking at one precondition. Its texts come from the vendor or an issuer too;
/// the functions below make ForeignText of them.
struct Finding {
  /// Which one, in a word.
  std::string check;
  Verdict verdict = Verdict::kOk;
  /// What was found, or why nothing was looked at.
  std::string detail;
  /// How to mend what failed.
  std::string fix;
};

Finding Passed(std::string check, std::string_view detail);
Finding Failed(std::string check, std::string_view detail, std::string_view fix);
Finding Skipped(std::string check, std::string_view detail);

/// A line for each, and one for each fix.
void PrintFindings(const std::vector<Finding>& findings);
boost::json::array FindingsAsJson(const std::vector<Finding>& findings);

}  // namespace credence
