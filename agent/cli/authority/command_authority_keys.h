#pragma once

#include <memory>

#include "agent/cli/commands.h"

namespace credence {

/// `status` and `rotate` of the running authority.
void AddAuthorityKeyCommands(CLI::App& authority, const std::shared_ptr<Action>& action);

}  // namespace credence
