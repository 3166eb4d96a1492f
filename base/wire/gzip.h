#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/core/result.h"

namespace credence::h2 {

/// Inflates one gzip member. A short input may not grow into a large message: the result is at most
/// `max_bytes`, and above 64 KiB at most a hundred times the input, so that decompression costs no
/// more than the sender paid for it. Errors: kResourceExhausted above the bounds; kInvalidArgument
/// if it is no gzip, is cut short, or has a tail. Source: RFC 1952.
Result<std::string> InflateGzip(std::string_view compressed, std::size_t max_bytes);

}  // namespace credence::h2
