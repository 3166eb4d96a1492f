#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include "agent/authority/services/authority_state.h"
#include "agent/config/path_watcher.h"
#include "base/core/clock.h"
#include "base/core/task_group.h"
#include "base/core/watch.h"

namespace credence {

struct EntryResource;
struct EntryResourcesOutcome;

/// Registration entries that stand in files: read at start, read again when a file changes, when a
/// foreign trust domain that they may name has become known or unknown, or on demand, never stored.
/// A set with any mistake is not used; the last good one stays. The ID of each is kFileEntryPrefix
/// and the name in the file. Threads: the executor's thread; later readings run on `pool`.
class EntryFiles {
 public:
  struct Options {
    /// Files and folders; none for no such entries.
    std::vector<std::string> paths;
    /// How long to wait for a change to be complete.
    std::chrono::milliseconds settle{200};
  };
  struct Status {
    /// What is wrong with the files as they are, with file and line.
    std::vector<std::string> mistakes;
    /// When the set in use was read; nullopt while there never was a good one.
    std::optional<WallTime> loaded_at;
  };

  EntryFiles(asio::any_io_executor executor,
             asio::thread_pool& pool,
             AuthorityState& state,
             const Clock& clock,
             Options options);

  /// Reads the files, on the calling thread, and starts to follow them.
  void Start();
  Task<void> Stop();
  /// Reads again soon.
  void Reload();

  /// Set after each reading.
  Watch<Status>& status() { return status_; }

 private:
  Task<void> FollowFiles();
  Task<void> FollowForeignDomains(std::uint64_t seen);
  Task<void> ServeRequests();
  void FollowPaths();
  void Accept(const EntryResourcesOutcome& outcome);
  /// An entry of the set that `outcome` makes, or what is wrong with it.
  Result<StoredEntry> Judge(const EntryResource& resource,
                            const EntryResourcesOutcome& outcome,
                            const EntrySet& before_it) const;

  asio::thread_pool& pool_;
  AuthorityState& state_;
  const Clock& clock_;
  Options options_;
  std::unique_ptr<PathWatcher> watcher_;
  Watch<Status> status_;
  /// Counts requests for a reading; several before it starts are one.
  Watch<std::uint64_t> requests_;
  /// Last, so that tasks end before what they use.
  TaskGroup tasks_;
};

}  // namespace credence
