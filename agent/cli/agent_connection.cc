#include "agent/cli/agent_connection.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include <fmt/format.h>

#include "base/core/file.h"
#include "base/core/safe_path.h"

namespace credence {
namespace {

Error NoServer(std::string_view server, const std::string& path, std::string_view why) {
  return Error(Code::kUnavailable, fmt::format("no {} answers on {}: {}", server, path, why));
}

Error CannotConnect(std::string_view server, const std::string& path, int error_number) {
  const Code code = CodeFromErrno(error_number);
  return code == Code::kPermissionDenied
             ? Error(code, fmt::format("connect to {}: {}", path, ErrnoText(error_number)))
             : NoServer(server, path, ErrnoText(error_number));
}

/// Whoever has no number in our user namespace. Source: user_namespaces(7).
constexpr uid_t kOverflowUid = 65534;

Result<void> CheckServer(int fd, const std::string& path, std::string_view name) {
  ucred server{};
  socklen_t size = sizeof server;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &server, &size) != 0) {
    return CannotConnect(name, path, errno);
  }
  if (server.uid != 0 && server.uid != geteuid()) {
    return Error(
        Code::kPermissionDenied,
        fmt::format("uid {} serves on {}: expected root or the user of this process ({}){}",
                    server.uid,
                    path,
                    geteuid(),
                    server.uid == kOverflowUid
                        ? "; inside a user namespace the host's root cannot be told from others"
                        : ""));
  }
  return Ok();
}

}  // namespace

Result<UniqueFd> ConnectToAgent(const std::string& path,
                                std::chrono::milliseconds timeout,
                                std::string_view server) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Error(
        Code::kInvalidArgument,
        fmt::format("socket path {} has more than {} bytes", path, sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  if (const auto safe = CheckNotReplaceable(path); !safe.ok()) {
    return safe.error().code() == Code::kPermissionDenied
               ? safe.error()
               : NoServer(server, path, safe.error().message());
  }
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // Bounds the wait for room in the agent's queue.
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  const timeval wait{seconds.count(), std::chrono::microseconds(timeout - seconds).count()};
  if (!fd.valid() || setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) != 0 ||
      connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return CannotConnect(server, path, errno);
  }
  if (auto trusted = CheckServer(fd.get(), path, server); !trusted.ok()) {
    return std::move(trusted).error();
  }
  return fd;
}

}  // namespace credence
