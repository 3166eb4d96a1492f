#include "base/h2/listen_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "base/core/file.h"
#include "base/core/safe_path.h"

namespace credence::h2 {
namespace {

/// The kernel caps it at net.core.somaxconn; a full queue refuses callers that do not block.
constexpr int kBacklog = 4096;
constexpr mode_t kFolderMode = 0755;
constexpr mode_t kLockMode = 0600;
/// Another agent may remove the lock file between our open and our lock.
constexpr int kLockTries = 10;

Error Failure(const std::string& path, std::string_view what) {
  const int error_number = errno;
  return Error(CodeFromErrno(error_number),
               fmt::format("{} {}: {}", what, path, ErrnoText(error_number)));
}

Error AlreadyServed(const std::string& path) {
  return Error(Code::kAlreadyExists, fmt::format("another agent is serving on {}", path));
}

/// What the operator has to change before a socket may stand at `path`.
Error NotSafe(const std::string& path, const Error& error) {
  const Code code =
      error.code() == Code::kPermissionDenied ? Code::kFailedPrecondition : error.code();
  return Error(code, fmt::format("socket {}: {}", path, error.message()));
}

/// Held while one agent looks at the socket's path and takes it; the file is removed with it.
class PathLock {
 public:
  static Result<PathLock> Take(const std::string& socket_path) {
    const std::string path = socket_path + ".lock";
    for (int tries = 0; tries < kLockTries; ++tries) {
      UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kLockMode));
      if (!fd.valid()) {
        return Failure(path, "open");
      }
      if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK ? AlreadyServed(socket_path) : Failure(path, "lock");
      }
      struct stat locked{};
      struct stat current{};
      if (fstat(fd.get(), &locked) == 0 && stat(path.c_str(), &current) == 0 &&
          locked.st_ino == current.st_ino && locked.st_dev == current.st_dev) {
        return PathLock(path, std::move(fd));
      }
    }
    return AlreadyServed(socket_path);
  }

  PathLock(PathLock&& other) noexcept = default;
  PathLock& operator=(PathLock&& other) noexcept = delete;
  ~PathLock() {
    if (fd_.valid()) {
      unlink(path_.c_str());
    }
  }

 private:
  PathLock(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  UniqueFd fd_;
};

Result<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return Error(
        Code::kInvalidArgument,
        fmt::format("socket path {} must have 1 to {} bytes", path, sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

UniqueFd NewSocket() {
  return UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

const sockaddr* Generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

/// Makes room at `path`: removes the socket of an agent that is gone.
Result<void> RemoveStale(const std::string& path, const sockaddr_un& address) {
  struct stat found{};
  if (lstat(path.c_str(), &found) != 0) {
    return errno == ENOENT ? Ok() : Result<void>(Failure(path, "look at"));
  }
  if (!S_ISSOCK(found.st_mode)) {
    return Error(Code::kInvalidArgument, fmt::format("{} exists and is not a socket", path));
  }
  const UniqueFd probe = NewSocket();
  if (!probe.valid()) {
    return Failure(path, "open a socket for");
  }
  // EAGAIN is a live server with a full queue.
  if (connect(probe.get(), Generic(address), sizeof address) == 0 || errno == EAGAIN) {
    return AlreadyServed(path);
  }
  if (errno != ECONNREFUSED && errno != ENOENT) {
    return Failure(path, "connect to");
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return Failure(path, "remove");
  }
  return Ok();
}

}  // namespace

Result<ListenSocket> ListenSocket::Bind(const std::string& path, mode_t mode) {
  const auto address = AddressOf(path);
  if (!address.ok()) {
    return address.error();
  }
  // Whoever can write a folder on the way can put a socket of his own in the place of ours.
  const std::string folder = std::filesystem::path(path).parent_path().string();
  if (auto made = MakeSafeFolders(folder.empty() ? "." : folder, kFolderMode); !made.ok()) {
    return NotSafe(path, made.error());
  }
  const auto lock = PathLock::Take(path);
  if (!lock.ok()) {
    return lock.error();
  }
  if (auto removed = RemoveStale(path, *address); !removed.ok()) {
    return std::move(removed).error();
  }
  UniqueFd fd = NewSocket();
  if (!fd.valid() || bind(fd.get(), Generic(*address), sizeof *address) != 0) {
    return Failure(path, "bind");
  }
  struct stat bound{};
  if (lstat(path.c_str(), &bound) != 0) {
    return Failure(path, "look at");
  }
  ListenSocket listening(path, std::move(fd), bound.st_dev, bound.st_ino);
  // Nobody can connect before listen(), so the mode is right for the first caller.
  if (chmod(path.c_str(), mode) != 0) {
    return Failure(path, "set the mode of");
  }
  if (listen(listening.fd(), kBacklog) != 0) {
    return Failure(path, "listen on");
  }
  return listening;
}

ListenSocket::~ListenSocket() {
  struct stat current{};
  if (fd_.valid() && lstat(path_.c_str(), &current) == 0 && current.st_dev == device_ &&
      current.st_ino == inode_) {
    unlink(path_.c_str());
  }
}

}  // namespace credence::h2
