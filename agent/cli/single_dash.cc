#include "agent/cli/single_dash.h"

#include <cctype>

namespace credence {

std::vector<std::string> WithDoubleDashes(std::vector<std::string> arguments) {
  if (arguments.empty() || (arguments[0] != "run" && arguments[0] != "check")) {
    return arguments;
  }
  for (std::string& argument : arguments) {
    const bool long_flag = argument.size() > 2 && argument[0] == '-' &&
                           std::isalpha(static_cast<unsigned char>(argument[1])) != 0 &&
                           std::isalpha(static_cast<unsigned char>(argument[2])) != 0;
    if (long_flag) {
      argument.insert(argument.begin(), '-');
    }
  }
  return arguments;
}

}  // namespace credence
