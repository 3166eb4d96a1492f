#include "agent/governance/audit_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/core/file.h"
#include "base/core/unique_fd.h"

namespace credence {
namespace {

constexpr std::size_t kBlock = std::size_t{256} << 10;
/// A longer line is not ours; it is counted and skipped without being kept.
constexpr std::size_t kMaxLine = std::size_t{1} << 20;

/// Clocks are set back now and then: an older line may stand after newer ones. A line that is older
/// than what is asked for by more than this ends the search.
constexpr auto kClockStep = std::chrono::hours(1);

/// Gives the lines of a file from the last to the first, reading it in blocks from its end.
class BackwardLines {
 public:
  BackwardLines(int fd, std::uint64_t size) : fd_(fd), left_(size) {}

  /// False at the start of the file. A line that is too long comes cut.
  Result<bool> Next(std::string* line) {
    while (true) {
      const std::size_t newline = buffer_.rfind('\n');
      if (newline != std::string::npos) {
        *line = buffer_.substr(newline + 1);
        buffer_.resize(newline);
        return true;
      }
      if (left_ == 0) {
        *line = std::exchange(buffer_, "");
        return !std::exchange(ended_, true);
      }
      if (buffer_.size() > kMaxLine) {
        buffer_.resize(kMaxLine);
      }
      if (auto read = ReadBlock(); !read.ok()) {
        return std::move(read).error();
      }
    }
  }

 private:
  Result<void> ReadBlock() {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(kBlock, left_));
    std::string block(size, '\0');
    const std::uint64_t at = left_ - size;
    std::size_t done = 0;
    while (done < size) {
      const ssize_t count =
          pread(fd_, block.data() + done, size - done, static_cast<off_t>(at + done));
      if (count < 0 && errno == EINTR) {
        continue;
      }
      if (count <= 0) {
        return Error(
            count < 0 ? CodeFromErrno(errno) : Code::kAborted,
            fmt::format("read: {}", count < 0 ? ErrnoText(errno) : "the log became shorter"));
      }
      done += static_cast<std::size_t>(count);
    }
    left_ = at;
    buffer_ = block + buffer_;
    return Ok();
  }

  int fd_;
  std::uint64_t left_;
  std::string buffer_;
  bool ended_ = false;
};

bool Equal(std::string_view wanted, std::string_view found) {
  return wanted.empty() || wanted == found;
}

}  // namespace

bool AuditFilter::Fits(const AuditEvent& event) const {
  return (!kind || *kind == event.kind) && (!result || *result == event.result) &&
         Equal(spiffe_id, event.subject.spiffe_id) && Equal(destination, event.destination) &&
         Equal(decision_id, event.decision_id) && (!uid || *uid == event.subject.uid) &&
         (!since || event.time >= *since);
}

Result<AuditPage> ReadAuditLog(const std::string& path,
                               const AuditFilter& filter,
                               std::size_t limit) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info{};
  if (!fd.valid() || fstat(fd.get(), &info) != 0) {
    return Error(CodeFromErrno(errno), fmt::format("open {}: {}", path, ErrnoText(errno)));
  }
  if (!S_ISREG(info.st_mode)) {
    return Error(Code::kInvalidArgument, fmt::format("{} is not a regular file", path));
  }
  BackwardLines lines(fd.get(), static_cast<std::uint64_t>(info.st_size));
  AuditPage page;
  std::string line;
  // What follows the last newline is a line that is being written, or nothing.
  bool complete = false;
  while (page.events.size() < limit) {
    const auto more = lines.Next(&line);
    if (!more.ok()) {
      return Error(more.error()).Wrap(path);
    }
    if (!*more) {
      break;
    }
    const bool unfinished = !std::exchange(complete, true);
    if (line.empty() || unfinished) {
      continue;
    }
    auto event = DecodeAuditLine(line);
    if (!event.ok()) {
      ++page.malformed;
    } else if (filter.since && event->time < *filter.since - kClockStep) {
      break;
    } else if (filter.Fits(*event)) {
      page.events.push_back(*std::move(event));
    }
  }
  std::reverse(page.events.begin(), page.events.end());
  return page;
}

}  // namespace credence
