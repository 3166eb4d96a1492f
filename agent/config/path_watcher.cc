#include "agent/config/path_watcher.h"

#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "agent/config/resource_files.h"
#include "base/core/file.h"

namespace credence {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
                                  IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF |
                                  IN_ONLYDIR;

fs::path Absolute(const std::string& path) {
  std::error_code failed;
  fs::path absolute = fs::absolute(path, failed).lexically_normal();
  // "folder/" has an empty last part.
  return absolute.has_filename() ? absolute : absolute.parent_path();
}

}  // namespace

Result<std::unique_ptr<PathWatcher>> PathWatcher::Make(asio::any_io_executor executor) {
  const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) {
    return Error(CodeFromErrno(errno), fmt::format("inotify: {}", ErrnoText(errno)));
  }
  return std::unique_ptr<PathWatcher>(new PathWatcher(std::move(executor), fd));
}

PathWatcher::PathWatcher(asio::any_io_executor executor, int fd)
    : inotify_(std::move(executor), fd) {}

Result<void> PathWatcher::Follow(const std::vector<std::string>& paths) {
  std::map<int, Interest> watches;
  last_error_ = 0;
  for (const std::string& path : paths) {
    AddPath(path, watches);
  }
  for (const auto& [watch, interest] : watches_) {
    if (!watches.contains(watch)) {
      // Fails when the folder is gone, and the watch with it.
      inotify_rm_watch(inotify_.native_handle(), watch);
    }
  }
  watches_ = std::move(watches);
  if (last_error_ != 0) {
    return Error(CodeFromErrno(last_error_), fmt::format("inotify: {}", ErrnoText(last_error_)));
  }
  return Ok();
}

void PathWatcher::Add(const std::string& folder,
                      const std::string& name,
                      std::map<int, Interest>& into) {
  const int watch = inotify_add_watch(inotify_.native_handle(), folder.c_str(), kEvents);
  if (watch < 0) {
    last_error_ = errno;
    return;
  }
  Interest& interest = into[watch];
  interest.all = interest.all || name.empty();
  interest.names.insert(name);
}

void PathWatcher::AddEntry(const std::string& path, std::map<int, Interest>& into) {
  const fs::path absolute = Absolute(path);
  fs::path folder = absolute.parent_path();
  fs::path name = absolute.filename();
  std::error_code failed;
  while (!fs::is_directory(folder, failed) && folder != folder.parent_path()) {
    name = folder.filename();
    folder = folder.parent_path();
  }
  Add(folder.string(), name.string(), into);
  const fs::path real = fs::canonical(absolute, failed);
  if (!failed && real != absolute) {
    Add(real.parent_path().string(), real.filename().string(), into);
  }
}

void PathWatcher::AddPath(const std::string& path, std::map<int, Interest>& into) {
  AddEntry(path, into);
  std::error_code failed;
  if (!fs::is_directory(path, failed)) {
    return;
  }
  Add(path, "", into);
  const auto files = ListResourceFiles(path);
  if (!files.ok()) {
    return;
  }
  for (const std::string& file : *files) {
    if (fs::is_symlink(file, failed)) {
      AddEntry(file, into);
    }
  }
}

bool PathWatcher::Matters(int watch, std::uint32_t mask, std::string_view name) const {
  if ((mask & IN_Q_OVERFLOW) != 0) {
    return true;
  }
  const auto found = watches_.find(watch);
  if (found == watches_.end() || (mask & IN_IGNORED) != 0) {
    return false;
  }
  // No name: the folder itself. A name with two points: how Kubernetes swaps the content of a
  // mounted folder.
  return found->second.all || name.empty() || name.starts_with("..") ||
         found->second.names.contains(name);
}

bool PathWatcher::Drain() {
  bool matters = false;
  std::array<char, 16384> buffer{};
  while (true) {
    const ssize_t count = read(inotify_.native_handle(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      return matters;
    }
    const auto size = static_cast<std::size_t>(count);
    std::size_t offset = 0;
    while (offset + sizeof(inotify_event) <= size) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + offset, sizeof(event));
      const char* name = buffer.data() + offset + sizeof(event);
      offset += sizeof(event) + event.len;
      if (offset > size) {
        return true;
      }
      // The name is padded with NULs.
      const std::string_view text(name, strnlen(name, event.len));
      matters = Matters(event.wd, event.mask, text) || matters;
    }
  }
}

Task<void> PathWatcher::Changed() {
  while (true) {
    co_await inotify_.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
    if (Drain()) {
      co_return;
    }
  }
}

}  // namespace credence
