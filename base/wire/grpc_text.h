#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/core/result.h"

/// The small text formats of gRPC's headers.
namespace credence::h2 {

/// grpc-message: bytes outside printable ASCII, and '%', as %XX. At most the first `max_bytes` of
/// `text`. Source: grpc/doc/PROTOCOL-HTTP2.md, "Percent-Encoded".
std::string PercentEncode(std::string_view text, std::size_t max_bytes);

/// The text that `encoded` stands for, cut to `max_bytes`; a '%' that begins no escape is itself.
std::string PercentDecode(std::string_view encoded, std::size_t max_bytes);

/// Base64 of a "-bin" header, without padding.
std::string EncodeBinaryHeader(std::string_view bytes);
/// The bytes of a "-bin" header, with or without padding. Errors: kInvalidArgument.
Result<std::string> DecodeBinaryHeader(std::string_view text);

/// grpc-timeout: one to eight digits and a unit of H, M, S, m, u, n. More than a year counts as a
/// year. Errors: kInvalidArgument.
Result<std::chrono::nanoseconds> ParseGrpcTimeout(std::string_view text);
/// The same for `timeout`, rounded up, in the finest unit that has room for it.
std::string FormatGrpcTimeout(std::chrono::nanoseconds timeout);

}  // namespace credence::h2
