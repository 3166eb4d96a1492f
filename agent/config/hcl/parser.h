#pragma once

#include <cstddef>
#include <string_view>

#include "agent/config/document.h"

namespace credence::hcl {

inline constexpr std::size_t kMaxBytes = std::size_t{1} << 20U;
/// Of blocks, lists and labels within each other.
inline constexpr int kMaxDepth = 64;
/// Settings and items of lists.
inline constexpr int kMaxValues = 10'000;

/// Reads HCL 1, or JSON when the text starts with '{', as SPIRE does. In HCL, `key = { }` and `key
/// { }` are the same, labels become nested keys, and "${...}" in a text is kept as it is. The first
/// mistake of syntax ends the reading; at most kMaxBytes, kMaxDepth and kMaxValues. Source: the
/// language description of github.com/hashicorp/hcl, version 1; RFC 8259.
Document Parse(std::string_view text);

}  // namespace credence::hcl
