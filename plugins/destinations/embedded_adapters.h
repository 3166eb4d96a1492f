#pragma once

#include <string_view>

/// The adapter files that are part of the program; the build generates the definitions.
namespace credence {

extern const std::string_view kAnthropicAdapter;
extern const std::string_view kOpenbaoAdapter;

}  // namespace credence
