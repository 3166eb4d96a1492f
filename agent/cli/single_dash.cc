#include "agent/cli/single_dash.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <string_view>

namespace credence {
namespace {

/// The commands that take the flags of spire-agent or spire-server.
constexpr std::string_view kSpireCommands[] = {"run",
                                               "setup",
                                               "check",
                                               "up",
                                               "authority",
                                               "entry",
                                               "token",
                                               "agent",
                                               "bundle",
                                               "federation",
                                               "jwks"};

}  // namespace

std::vector<std::string> WithDoubleDashes(std::vector<std::string> arguments) {
  if (arguments.empty() ||
      std::ranges::find(kSpireCommands, arguments[0]) == std::end(kSpireCommands)) {
    return arguments;
  }
  for (std::string& argument : arguments) {
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
