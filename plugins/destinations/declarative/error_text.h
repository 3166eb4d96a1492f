#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"
#include "base/core/secret_bytes.h"
#include "plugins/destinations/declarative/json_answer.h"

namespace credence {

/// What must not come back out of an answer into a message.
using Secrets = std::vector<SharedSecret>;

/// True if `text` holds 20 or more bytes in a row of one of `secrets`, or the whole of a shorter
/// one.
bool RevealsSecret(std::string_view text, const Secrets& secrets);

/// Foreign text made safe to show: at most 256 characters, control and non-ASCII bytes escaped; ""
/// if it reveals a secret.
std::string SafeText(std::string_view text, const Secrets& secrets);

/// The standard error fields of an answer as one safe text: error.type and error.message, or error
/// and error_description, or errors[0]. "" if there is none.
std::string ErrorFields(const JsonAnswer& answer, const Secrets& secrets);

/// Reads Retry-After: seconds or an HTTP date, at most one hour; a date in the past is zero.
/// Source: RFC 9110 section 10.2.3 and 5.6.7 (the IMF-fixdate form).
std::optional<std::chrono::seconds> ParseRetryAfter(std::string_view text, WallTime now);

}  // namespace credence
