#pragma once

#include <string>

#include "base/core/result.h"

namespace credence {

inline constexpr const char* kDefaultSocket = "/tmp/spire-agent/public/api.sock";

/// Path of the socket on which the agent listens: `flag` if not empty, else CREDENCE_SOCKET, else
/// SPIFFE_ENDPOINT_SOCKET, else kDefaultSocket. The last variable is a URI (unix:///path); the
/// first two are a path or such a URI. Errors: kInvalidArgument for an address that is no Unix
/// socket, naming where it was given. Source: SPIFFE Workload Endpoint section 4.
Result<std::string> FindSocket(const std::string& flag);

}  // namespace credence
