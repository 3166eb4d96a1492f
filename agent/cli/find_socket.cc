#include "agent/cli/find_socket.h"

#include <unistd.h>

#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "agent/cli/environment.h"

namespace credence {
namespace {

constexpr std::string_view kScheme = "unix:";

/// The path of unix:/path or unix:///path. `given_by` is where the user wrote it.
Result<std::string> PathOfUri(std::string_view uri, std::string_view given_by) {
  const bool is_unix =
      uri.starts_with(kScheme) && uri.find_first_of("?#") == std::string_view::npos;
  std::string_view path = is_unix ? uri.substr(kScheme.size()) : "";
  if (path.starts_with("///")) {
    path.remove_prefix(2);
  }
  if (!path.starts_with('/') || path.starts_with("//")) {
    return Error(Code::kInvalidArgument,
                 fmt::format("{} is \"{}\": expected unix:///absolute/path", given_by, uri));
  }
  return std::string(path);
}

Result<std::string> PathOrUri(const std::string& text, std::string_view given_by) {
  const bool is_uri = text.starts_with(kScheme) || text.starts_with("tcp:");
  return is_uri ? PathOfUri(text, given_by) : Result<std::string>(text);
}

/// Where `user` keeps sockets of Credence.
Result<std::string> RunFolder(uid_t user) {
  if (user == 0) {
    return std::string("/run/credence");
  }
  // The specification says to pass over relative paths.
  if (const std::string run = EnvironmentVariable("XDG_RUNTIME_DIR"); run.starts_with('/')) {
    return run + "/credence";
  }
  const std::string home = EnvironmentVariable("HOME");
  if (!home.starts_with('/')) {
    return Error(Code::kFailedPrecondition,
                 "no place for sockets: neither XDG_RUNTIME_DIR nor HOME is an absolute path; name "
                 "the authority's with -socketPath or CREDENCE_AUTHORITY_SOCKET, the agent's with "
                 "-socket or CREDENCE_SOCKET");
  }
  return home + "/.local/state/credence/run";
}

bool Exists(const std::string& path) {
  return access(path.c_str(), F_OK) == 0;
}

}  // namespace

Result<std::string> FindSocket(const std::string& flag) {
  if (!flag.empty()) {
    return PathOrUri(flag, "--socket");
  }
  if (const std::string text = EnvironmentVariable("CREDENCE_SOCKET"); !text.empty()) {
    return PathOrUri(text, "CREDENCE_SOCKET");
  }
  if (const std::string uri = EnvironmentVariable("SPIFFE_ENDPOINT_SOCKET"); !uri.empty()) {
    return PathOfUri(uri, "SPIFFE_ENDPOINT_SOCKET");
  }
  for (const uid_t user : {geteuid(), uid_t{0}}) {
    if (auto started_by_up = DefaultAgentSocket(user);
        started_by_up.ok() && Exists(*started_by_up)) {
      return started_by_up;
    }
  }
  return std::string(kDefaultSocket);
}

Result<std::string> DefaultAgentSocket(uid_t user) {
  auto folder = RunFolder(user);
  return folder.ok() ? *folder + "/agent.sock" : std::move(folder);
}

Result<std::string> DefaultAuthoritySocket(uid_t user) {
  auto folder = RunFolder(user);
  return folder.ok() ? *folder + "/authority/api.sock" : std::move(folder);
}

Result<std::string> FindAuthoritySocket(const std::string& flag) {
  if (!flag.empty()) {
    return PathOrUri(flag, "-socketPath");
  }
  for (const char* name : {"CREDENCE_AUTHORITY_SOCKET", "SPIRE_SERVER_PRIVATE_SOCKET"}) {
    if (const std::string text = EnvironmentVariable(name); !text.empty()) {
      return PathOrUri(text, name);
    }
  }
  return DefaultAuthoritySocket(geteuid());
}

}  // namespace credence
