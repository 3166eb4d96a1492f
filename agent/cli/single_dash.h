#pragma once

#include <string>
#include <vector>

namespace credence {

/// SPIRE writes long flags with one dash (-config, -logLevel=DEBUG) and takes two as well. Gives
/// those before a "--" their second dash; everything else stays, also exec's -dNAME.
std::vector<std::string> WithDoubleDashes(std::vector<std::string> arguments);

}  // namespace credence
