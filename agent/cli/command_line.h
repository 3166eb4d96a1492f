#pragma once

#include <string>
#include <vector>

namespace credence {

/// Does what `arguments` (without the program's name) ask for and returns the exit code.
int RunCommandLine(const std::vector<std::string>& arguments);

}  // namespace credence
