#pragma once

#include <string>
#include <vector>

namespace credence {

/// What a command line left behind.
struct CommandResult {
  int exit_code = 0;
  std::string out;
  std::string err;
};

/// RunCommandLine in this process, with `input` as standard input.
CommandResult RunCommand(const std::vector<std::string>& arguments, const std::string& input = "");

}  // namespace credence
