#pragma once

#include <string>
#include <vector>

namespace credence {

/// SPIRE writes long flags with one dash (-config, -logLevel=DEBUG) and takes two as well. Gives
/// those of all commands but exec, up to a "--", their second dash; everything else stays.
std::vector<std::string> WithDoubleDashes(std::vector<std::string> arguments);

}  // namespace credence
