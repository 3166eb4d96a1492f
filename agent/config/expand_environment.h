#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "agent/config/document.h"

namespace credence {

/// The value of an environment variable, "" when it is not set.
using EnvironmentLookup = std::function<std::string(std::string_view name)>;

/// The environment of this process.
std::string LookUpEnvironment(std::string_view name);

struct ExpandedText {
  std::string text;
  /// Set when a "${" is not closed or names nothing.
  std::optional<SyntaxError> error;
};

/// Replaces $NAME and ${NAME}, NAME being letters, digits and '_', or one of $*#@!?- or (without
/// braces) a digit; $$ and ${$} are '$'; a '$' before anything else stays. At most 1 MiB comes out;
/// the rest is cut off and an error is set. Source: what spire-agent's -expandEnv does, which is
/// Go's os.Expand.
ExpandedText ExpandEnvironment(std::string_view text, const EnvironmentLookup& lookup);

}  // namespace credence
