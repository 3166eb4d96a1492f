#pragma once

#include <string>

namespace credence {

/// The value of an environment variable; "" when it is not set.
std::string EnvironmentVariable(const char* name);

}  // namespace credence
