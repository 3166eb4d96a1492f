#include "agent/cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>

#include "base/core/file.h"
#include "base/core/unique_fd.h"

namespace credence {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 16;

Error Unreadable(const std::string& path, int error_number) {
  return Error(
      CodeFromErrno(error_number),
      fmt::format("read {}: {}", path == "-" ? "standard input" : path, ErrnoText(error_number)));
}

}  // namespace

Result<std::string> ReadInput(const std::string& path, std::size_t max_bytes) {
  UniqueFd opened;
  if (path != "-") {
    opened = UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!opened.valid()) {
      return Unreadable(path, errno);
    }
  }
  const int fd = opened.valid() ? opened.get() : STDIN_FILENO;
  std::string text;
  while (text.size() <= max_bytes) {
    const std::size_t before = text.size();
    text.resize(before + kPieceBytes);
    const ssize_t got = read(fd, text.data() + before, kPieceBytes);
    text.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got == 0) {
      return text;
    }
    if (got < 0 && errno != EINTR) {
      return Unreadable(path, errno);
    }
  }
  return Error(Code::kOutOfRange, fmt::format("{} is longer than {} bytes", path, max_bytes));
}

}  // namespace credence
