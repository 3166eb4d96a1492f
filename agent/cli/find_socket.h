#pragma once

#include <sys/types.h>

#include <string>

#include "base/core/result.h"

namespace credence {

inline constexpr const char* kDefaultSocket = "/tmp/spire-agent/public/api.sock";

/// Path of the socket on which the agent listens: `flag` if not empty, else CREDENCE_SOCKET, else
/// SPIFFE_ENDPOINT_SOCKET, else DefaultAgentSocket of this process's user or of root if there is
/// one, else kDefaultSocket. The last variable is a URI (unix:///path); the
/// first two are a path or such a URI. Errors: kInvalidArgument for an address that is no Unix
/// socket, naming where it was given. Source: SPIFFE Workload Endpoint section 4.
Result<std::string> FindSocket(const std::string& flag);

/// Where the agent of `credence up` listens when `user` runs it: agent.sock beside the folder of
/// DefaultAuthoritySocket. Errors: as that.
Result<std::string> DefaultAgentSocket(uid_t user);

/// Where an authority that `user` runs serves operators, for both sides:
/// /run/credence/authority/api.sock for root, else credence/authority/api.sock in XDG_RUNTIME_DIR,
/// or in ~/.local/state/credence/run without that variable. Errors: kFailedPrecondition if HOME is
/// needed and not an absolute path. Source: XDG Base Directory Specification.
Result<std::string> DefaultAuthoritySocket(uid_t user);

/// The private socket of an authority or a spire-server: `flag` if not empty, else
/// CREDENCE_AUTHORITY_SOCKET, else SPIRE_SERVER_PRIVATE_SOCKET, else DefaultAuthoritySocket of this
/// process's user. Each is a path or unix:///path. Errors: as FindSocket and
/// DefaultAuthoritySocket.
Result<std::string> FindAuthoritySocket(const std::string& flag);

}  // namespace credence
