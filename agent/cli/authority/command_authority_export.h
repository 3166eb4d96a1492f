#pragma once

#include <memory>

#include "agent/cli/commands.h"

namespace credence {

/// `export`: the move from our authority to a SPIRE server.
void AddAuthorityExportCommand(CLI::App& authority, const std::shared_ptr<Action>& action);

}  // namespace credence
