#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/core/result.h"
#include "base/core/unique_fd.h"

namespace credence {

/// A connection to the agent at `path`. What an agent says decides which credentials and which
/// environment a command gets, so it must be one that root or the user of this process runs: nobody
/// else can put another socket at `path` (CheckNotReplaceable), and the kernel says that one of the
/// two serves there. Errors: kUnavailable if nobody does; kPermissionDenied if somebody else does
/// or could; kInvalidArgument for a path that is too long. `server` is what errors call the one
/// that should be there.
Result<UniqueFd> ConnectToAgent(const std::string& path,
                                std::chrono::milliseconds timeout,
                                std::string_view server = "agent");

}  // namespace credence
