#include "agent/config/resource_watch.h"

#include <algorithm>
#include <utility>

#include "agent/config/resource_changes.h"
#include "base/core/log.h"

namespace credence {
namespace {

constexpr std::size_t kMaxLoggedMistakes = 50;

bool SameMistakes(const std::vector<ConfigMistake>& a, const std::vector<ConfigMistake>& b) {
  return std::equal(
      a.begin(), a.end(), b.begin(), b.end(), [](const ConfigMistake& x, const ConfigMistake& y) {
        return x.ToString() == y.ToString();
      });
}

}  // namespace

ResourceStore::ResourceStore(asio::any_io_executor executor,
                             asio::thread_pool& pool,
                             const Clock& clock,
                             Options options)
    : pool_(pool),
      clock_(clock),
      options_(std::move(options)),
      resources_(executor, std::make_shared<const Resources>()),
      status_(executor, ResourceStatus{.checked_at = clock.Now()}),
      requests_(executor, 0),
      tasks_(executor) {
  auto watcher = PathWatcher::Make(executor);
  if (watcher.ok()) {
    watcher_ = *std::move(watcher);
  } else {
    LogWarn("Resource files are not followed; SIGHUP reads them again",
            {{"error", watcher.error()}});
  }
}

void ResourceStore::Start() {
  FollowPaths();
  Accept(LoadResources(options_.paths, options_.adapters), Republish::kAlways);
  if (watcher_) {
    tasks_.Spawn("resource files", FollowFiles());
  }
  tasks_.Spawn("resource readings", ServeRequests());
}

Task<void> ResourceStore::Stop() {
  return tasks_.Stop();
}

void ResourceStore::Reload() {
  republish_ = Republish::kAlways;
  requests_.Set(requests_.value() + 1);
}

void ResourceStore::FollowPaths() {
  if (!watcher_) {
    return;
  }
  if (const auto followed = watcher_->Follow(options_.paths); !followed.ok()) {
    LogWarn("Some resource files are not followed; SIGHUP reads them again",
            {{"error", followed.error()}});
  }
}

Task<void> ResourceStore::FollowFiles() {
  while (true) {
    co_await watcher_->Changed();
    // An editor or a copy changes a file in several steps.
    co_await Sleep(options_.settle);
    watcher_->Drain();
    requests_.Set(requests_.value() + 1);
  }
}

Task<void> ResourceStore::ServeRequests() {
  std::uint64_t seen = 1;
  while (true) {
    seen = co_await requests_.Changed(seen);
    const Republish republish = std::exchange(republish_, Republish::kIfChanged);
    // First, so that a change during the reading is seen.
    FollowPaths();
    auto read = [paths = options_.paths, adapters = options_.adapters] {
      return LoadResources(paths, adapters);
    };
    ResourcesOutcome outcome = co_await RunOn(pool_, std::move(read));
    Accept(std::move(outcome), republish);
  }
}

void ResourceStore::Accept(ResourcesOutcome outcome, Republish republish) {
  if (!outcome.resources) {
    Refuse(std::move(outcome.mistakes));
    return;
  }
  const ResourceChanges changes = CompareResources(*resources_.value(), *outcome.resources);
  const bool repaired = !status_.value().mistakes.empty();
  const WallTime now = clock_.Now();
  if (!changes.empty() || repaired || republish == Republish::kAlways) {
    LogInfo("Resources read",
            {{"destinations", outcome.resources->destinations.size()},
             {"grants", outcome.resources->grants.size()},
             {"added", ListOfNames(changes.added)},
             {"removed", ListOfNames(changes.removed)},
             {"changed", ListOfNames(changes.changed)}});
    resources_.Set(std::move(outcome.resources));
    status_.Set(ResourceStatus{.loaded_at = now, .checked_at = now});
    return;
  }
  status_.Set(ResourceStatus{.loaded_at = status_.value().loaded_at, .checked_at = now});
}

void ResourceStore::Refuse(std::vector<ConfigMistake> mistakes) {
  if (!SameMistakes(mistakes, status_.value().mistakes)) {
    LogError("Resources have mistakes; the last good set stays in use",
             {{"mistakes", mistakes.size()},
              {"destinations", resources_.value()->destinations.size()},
              {"grants", resources_.value()->grants.size()}});
    for (std::size_t i = 0; i < std::min(mistakes.size(), kMaxLoggedMistakes); ++i) {
      LogError("Resource mistake", {{"mistake", mistakes[i].ToString()}});
    }
  }
  status_.Set(ResourceStatus{.mistakes = std::move(mistakes),
                             .loaded_at = status_.value().loaded_at,
                             .checked_at = clock_.Now()});
}

}  // namespace credence
