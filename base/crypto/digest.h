#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/core/result.h"

namespace credence {

using Sha256Digest = std::array<std::uint8_t, 32>;

Sha256Digest Sha256(std::string_view data);
/// The rest of an open file, at most `max_bytes`. Blocks: run on a pool.
/// Errors: as CodeFromErrno; kOutOfRange if the file is longer.
Result<Sha256Digest> Sha256OfFile(int fd, std::uint64_t max_bytes);

/// Lower-case hexadecimal.
std::string Hex(std::string_view bytes);
std::string Hex(const Sha256Digest& digest);

/// Standard base64 with padding (RFC 4648 section 4); decoding is strict.
std::string Base64Encode(std::string_view bytes);
Result<std::string> Base64Decode(std::string_view text);
/// URL-safe base64 without padding (RFC 4648 section 5); decoding refuses padding and other bytes.
std::string Base64UrlEncode(std::string_view bytes);
Result<std::string> Base64UrlDecode(std::string_view text);

/// `size` bytes from the system's generator.
std::string RandomBytes(std::size_t size);
/// A random version 4 UUID in lower case: the form of decision ids.
std::string RandomUuid();

}  // namespace credence
