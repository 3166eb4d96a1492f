#pragma once

#include <cstddef>
#include <string_view>

namespace credence::hcl {

/// Offset of the first byte that is not valid UTF-8, or that is NUL; npos when there is none.
std::size_t FindInvalidUtf8(std::string_view text);

}  // namespace credence::hcl
