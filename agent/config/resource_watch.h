#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include "agent/config/path_watcher.h"
#include "agent/config/resources.h"
#include "base/core/clock.h"
#include "base/core/task_group.h"
#include "base/core/watch.h"

namespace credence {

/// How the last reading of the resources went. For `status`.
struct ResourceStatus {
  /// What is wrong with the files as they are; when there is anything, the set in use is an older
  /// one, or empty.
  std::vector<ConfigMistake> mistakes;
  /// When the set in use was read; nullopt while there never was a good one.
  std::optional<WallTime> loaded_at;
  WallTime checked_at;
};

/// The destinations and grants in use: read at start, read again when a file changes or on demand.
/// A set with any mistake is not used; the last good one stays. Identity does not depend on policy
/// files: with mistakes at start the set is empty and the agent runs. Threads: the executor's
/// thread. Later readings run on `pool`, and with them DestinationAdapter::Configure.
class ResourceStore {
 public:
  struct Options {
    /// Files and folders.
    std::vector<std::string> paths;
    AdapterList adapters;
    /// How long to wait for a change to be complete.
    std::chrono::milliseconds settle{200};
  };

  /// All references must outlive the store and what it runs on `pool`.
  ResourceStore(asio::any_io_executor executor,
                asio::thread_pool& pool,
                const Clock& clock,
                Options options);

  /// Reads the files, on the calling thread, and starts to follow them.
  void Start();
  Task<void> Stop();

  /// Reads again soon and publishes even an equal set, so that files that settings name are read
  /// again too. For SIGHUP.
  void Reload();

  /// The set in use; never null.
  Watch<SharedResources>& resources() { return resources_; }
  /// Set after each reading.
  Watch<ResourceStatus>& status() { return status_; }

 private:
  enum class Republish { kIfChanged, kAlways };

  /// Turns changes of files into requests.
  Task<void> FollowFiles();
  /// Answers requests, one at a time.
  Task<void> ServeRequests();
  void FollowPaths();
  void Accept(ResourcesOutcome outcome, Republish republish);
  void Refuse(std::vector<ConfigMistake> mistakes);

  asio::thread_pool& pool_;
  const Clock& clock_;
  Options options_;
  std::unique_ptr<PathWatcher> watcher_;
  Watch<SharedResources> resources_;
  Watch<ResourceStatus> status_;
  /// Counts requests for a reading; several before it starts are one.
  Watch<std::uint64_t> requests_;
  Republish republish_ = Republish::kIfChanged;
  /// Last, so that tasks end before what they use.
  TaskGroup tasks_;
};

}  // namespace credence
