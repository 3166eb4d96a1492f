#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace credence::h2 {

/// `text` as one gzip member.
std::string Gzip(std::string_view text);
/// Repeatable bytes that hardly compress.
std::string GzipNoise(std::size_t size);

}  // namespace credence::h2
