#pragma once

#include <memory>

#include "agent/cli/commands.h"

namespace credence {

/// Adds create, update and delete to `credence entry`.
void AddEntryChangeCommands(CLI::App& entry, const std::shared_ptr<Action>& action);

}  // namespace credence
