#include "agent/cli/single_dash.h"

#include <cctype>
#include <string_view>

namespace credence {
namespace {

/// Whose other arguments are a command with flags of its own.
constexpr std::string_view kRunsACommand = "exec";

}  // namespace

std::vector<std::string> WithDoubleDashes(std::vector<std::string> arguments) {
  if (arguments.empty() || arguments[0] == kRunsACommand) {
    return arguments;
  }
  for (std::string& argument : arguments) {
    if (argument == "--") {
      break;
    }
    const bool long_flag = argument.size() > 2 && argument[0] == '-' &&
                           std::isalpha(static_cast<unsigned char>(argument[1])) != 0 &&
                           std::isalnum(static_cast<unsigned char>(argument[2])) != 0;
    if (long_flag) {
      argument.insert(argument.begin(), '-');
    }
  }
  return arguments;
}

}  // namespace credence
