#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/posix/stream_descriptor.hpp>

#include "base/core/result.h"
#include "base/core/task.h"

namespace credence {

/// Tells that files or folders may have changed: their content, their names, their modes, what a
/// link leads to, or whether they are there at all. May tell too often, never too seldom. Threads:
/// the executor's thread only. Source: inotify(7).
class PathWatcher {
 public:
  /// Errors: kResourceExhausted when the user's inotify instances are used up.
  static Result<std::unique_ptr<PathWatcher>> Make(asio::any_io_executor executor);

  /// Follows `paths`, which need not exist, from now on and no longer what was followed before. To
  /// be called again before each reading, because a folder that was replaced is another one.
  /// Errors: kResourceExhausted and the like if something cannot be watched; the rest is watched
  /// all the same.
  Result<void> Follow(const std::vector<std::string>& paths);

  /// Waits for the next change. Ends early only by cancellation.
  Task<void> Changed();

  /// Forgets changes that are waiting to be told; whether there were any.
  bool Drain();

 private:
  /// Names in a watched folder that matter; `all` for every one.
  struct Interest {
    bool all = false;
    std::set<std::string, std::less<>> names;
  };

  PathWatcher(asio::any_io_executor executor, int fd);

  void Add(const std::string& folder, const std::string& name, std::map<int, Interest>& into);
  void AddPath(const std::string& path, std::map<int, Interest>& into);
  void AddEntry(const std::string& path, std::map<int, Interest>& into);
  bool Matters(int watch, std::uint32_t mask, std::string_view name) const;

  asio::posix::stream_descriptor inotify_;
  std::map<int, Interest> watches_;
  int last_error_ = 0;
};

}  // namespace credence
