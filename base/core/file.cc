#include "base/core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cstring>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

namespace credence {
namespace {

Error FromErrno(int error_number, std::string_view what, std::string_view path) {
  return Error(CodeFromErrno(error_number),
               fmt::format("{} {}: {}", what, path, ErrnoText(error_number)));
}

struct OpenedFile {
  UniqueFd fd;
  std::size_t size = 0;
};

Result<OpenedFile> OpenRegular(const std::string& path, std::size_t max_bytes) {
  // O_NONBLOCK: a FIFO put in the file's place must not hang the agent.
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) {
    return FromErrno(errno, "open", path);
  }
  struct stat info{};
  if (fstat(fd.get(), &info) != 0) {
    return FromErrno(errno, "stat", path);
  }
  if (!S_ISREG(info.st_mode)) {
    return Error(Code::kInvalidArgument, fmt::format("{} is not a regular file", path));
  }
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size > max_bytes) {
    return Error(Code::kOutOfRange,
                 fmt::format("{} has {} bytes; at most {} are read", path, size, max_bytes));
  }
  return OpenedFile{std::move(fd), size};
}

/// Fills `buffer` from `fd` and returns how much there was.
Result<std::size_t> ReadInto(int fd, char* buffer, std::size_t size, const std::string& path) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count = read(fd, buffer + done, size - done);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return FromErrno(errno, "read", path);
    }
    if (count == 0) {
      break;
    }
    done += static_cast<std::size_t>(count);
  }
  return done;
}

Result<void> WriteTemporary(const std::string& path, std::string_view content, mode_t mode) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!fd.valid()) {
    return FromErrno(errno, "create", path);
  }
  // The umask may have taken bits that `mode` asked for.
  if (fchmod(fd.get(), mode) != 0) {
    return FromErrno(errno, "chmod", path);
  }
  if (auto written = WriteAll(fd.get(), content); !written.ok()) {
    return std::move(written).error().Wrap(path);
  }
  if (fsync(fd.get()) != 0) {
    return FromErrno(errno, "sync", path);
  }
  return Ok();
}

}  // namespace

std::string ErrnoText(int error_number) {
  std::string text = std::generic_category().message(error_number);
  if (!text.empty()) {
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  }
  return text;
}

Code CodeFromErrno(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
    case ESRCH:
      return Code::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case EFBIG:
      return Code::kResourceExhausted;
    case EEXIST:
    case EADDRINUSE:
      return Code::kAlreadyExists;
    default:
      return Code::kInternal;
  }
}

Result<std::string> ReadFile(const std::string& path, std::size_t max_bytes) {
  auto file = OpenRegular(path, max_bytes);
  if (!file.ok()) {
    return std::move(file).error();
  }
  std::string content(file->size, '\0');
  const auto count = ReadInto(file->fd.get(), content.data(), content.size(), path);
  if (!count.ok()) {
    return count.error();
  }
  content.resize(*count);
  return content;
}

Result<SecretBytes> ReadSecretFile(const std::string& path, std::size_t max_bytes) {
  auto file = OpenRegular(path, max_bytes);
  if (!file.ok()) {
    return std::move(file).error();
  }
  SecretBytes content(file->size);
  const auto count = ReadInto(
      file->fd.get(), static_cast<char*>(static_cast<void*>(content.data())), content.size(), path);
  if (!count.ok()) {
    return count.error();
  }
  content.Truncate(*count);
  return content;
}

Result<void> WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return Error(CodeFromErrno(errno), fmt::format("write: {}", ErrnoText(errno)));
    }
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return Ok();
}

Result<void> WriteFileAtomically(const std::string& path, std::string_view content, mode_t mode) {
  const std::string temporary = path + ".tmp";
  // A crash may have left one behind.
  if (unlink(temporary.c_str()) != 0 && errno != ENOENT) {
    return FromErrno(errno, "remove", temporary);
  }
  if (auto written = WriteTemporary(temporary, content, mode); !written.ok()) {
    unlink(temporary.c_str());
    return written;
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    const int error_number = errno;
    unlink(temporary.c_str());
    return FromErrno(error_number, "replace", path);
  }
  const std::string folder = std::filesystem::path(path).parent_path();
  const UniqueFd fd(
      open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || fsync(fd.get()) != 0) {
    return FromErrno(errno, "sync folder of", path);
  }
  return Ok();
}

Result<void> MakeDirectories(const std::string& path, mode_t mode) {
  std::string sofar;
  for (const auto& part : std::filesystem::path(path)) {
    sofar = (std::filesystem::path(sofar) / part).string();
    if (mkdir(sofar.c_str(), mode) != 0 && errno != EEXIST && errno != EISDIR) {
      return FromErrno(errno, "create folder", sofar);
    }
  }
  struct stat info{};
  if (stat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return Error(Code::kInvalidArgument, fmt::format("{} is not a folder", path));
  }
  return Ok();
}

}  // namespace credence
