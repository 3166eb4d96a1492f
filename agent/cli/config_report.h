#pragma once

#include <vector>

#include <boost/json/array.hpp>

#include "agent/config/agent_config.h"

namespace credence {

/// What is wrong in configuration files, for --output json: file, line, column, key, message.
boost::json::array MistakesAsJson(const std::vector<ConfigMistake>& mistakes);

}  // namespace credence
