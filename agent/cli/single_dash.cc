#include "agent/cli/single_dash.h"

#include <cctype>
#include <string_view>

namespace credence {
namespace {

/// Of exec: -dkv is -d kv, but for the long flag.
bool IsDestinationOfExec(std::string_view argument) {
  return argument.starts_with("-d") && argument.substr(0, argument.find('=')) != "-destination";
}

}  // namespace

std::vector<std::string> WithDoubleDashes(std::vector<std::string> arguments) {
  const bool is_exec = !arguments.empty() && arguments[0] == "exec";
  for (std::string& argument : arguments) {
    if (argument == "--") {
      break;
    }
    const bool long_flag = argument.size() > 2 && argument[0] == '-' &&
                           std::isalpha(static_cast<unsigned char>(argument[1])) != 0 &&
                           std::isalnum(static_cast<unsigned char>(argument[2])) != 0;
    if (long_flag && !(is_exec && IsDestinationOfExec(argument))) {
      argument.insert(argument.begin(), '-');
    }
  }
  return arguments;
}

}  // namespace credence
