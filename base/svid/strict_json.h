#pragma once

#include <cstddef>
#include <string_view>

#include <boost/json/object.hpp>

#include "base/core/result.h"

namespace credence {

/// Reads one JSON object from a stranger: a repeated member name at any level, nesting deeper than
/// 32, invalid UTF-8, a number too large for a double, and text longer than `max_bytes` are
/// refused. Integers that fit 64 bits stay exact. The plain parser keeps the last of two equal
/// names, and two readers that disagree about which one counts is how a signed document gets two
/// meanings. Errors: kInvalidArgument; the text is never quoted. Source: RFC 8259; RFC 7519 section
/// 4 and RFC 7515 section 4 on repeated names.
Result<boost::json::object> ParseStrictJsonObject(std::string_view text, std::size_t max_bytes);

/// The string at `name`; nullptr if there is none or it is of another type.
const boost::json::string* FindString(const boost::json::object& object, std::string_view name);

}  // namespace credence
