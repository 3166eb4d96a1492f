#include "agent/cli/find_socket.h"

#include <string_view>

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
  return std::string(kDefaultSocket);
}

}  // namespace credence
