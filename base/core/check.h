#pragma once

#include <source_location>
#include <string_view>

namespace credence {

/// Writes `belief` and where it was held to stderr, then terminates the process.
[[noreturn]] void CheckFailed(std::string_view belief, std::source_location where);

}  // namespace credence

/// Terminates when a belief about our own code is false. Never for input: that is a Result.
#define CREDENCE_CHECK(condition)                                           \
  do {                                                                      \
    if (!(condition)) {                                                     \
      ::credence::CheckFailed(#condition, std::source_location::current()); \
    }                                                                       \
  } while (false)
