#pragma once

#include <memory>

#include <CLI/CLI.hpp>

#include "agent/cli/authority/authority_flags.h"
#include "agent/cli/commands.h"

namespace credence {

/// Ends the making of a command that asks the authority: adds the flags that all of them have, and
/// makes `perform` what it does. `options` has a member `authority` of AuthorityFlags.
template <class Options>
void FinishCommand(CLI::App& command,
                   const std::shared_ptr<Options>& options,
                   Result<ExitCode> (*perform)(const Options&),
                   const std::shared_ptr<Action>& action) {
  options->authority.AddTo(command);
  command.callback([options, perform, action] {
    *action = [options, perform] { return Conclude(perform(*options), options->authority.format); };
  });
}

}  // namespace credence
