#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/cli/check/finding.h"
#include "base/core/clock.h"

namespace credence {

/// The way to the vendor at `origin` (https://host[:port]): its name, TCP, TLS, and by the Date of
/// an answer the difference of the clocks. What comes after a step that failed is skipped.
/// Blocking, at most three times `timeout`.
std::vector<Finding> CheckVendor(const std::string& origin,
                                 const std::string& ca_file,
                                 const Clock& clock,
                                 std::chrono::milliseconds timeout);

/// "Sun, 06 Nov 1994 08:49:37 GMT"; nullopt for anything else. Source: RFC 9110 section 5.6.7.
std::optional<WallTime> ParseDateHeader(std::string_view text);

}  // namespace credence
