#pragma once

#include <string>
#include <vector>

#include "base/core/result.h"

#include "spire/api/types/types.pb.h"

namespace CLI {
class App;
}  // namespace CLI

namespace credence {

/// Adds a flag that can be given more than once, with one value each time.
void AddRepeatable(CLI::App& command,
                   const std::string& name,
                   std::vector<std::string>& values,
                   const std::string& description);

/// Adds --selector and --matchSelectorsOn to a command that filters.
void AddSelectorFilter(CLI::App& command,
                       std::vector<std::string>& selectors,
                       spire::api::types::SelectorMatch::MatchBehavior& match);

/// Errors: kInvalidArgument naming the selector.
Result<spire::api::types::SelectorMatch> WireSelectorMatch(
    const std::vector<std::string>& selectors,
    spire::api::types::SelectorMatch::MatchBehavior match);

}  // namespace credence
