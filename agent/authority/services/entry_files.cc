#include "agent/authority/services/entry_files.h"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "agent/authority/services/entry_rules.h"
#include "agent/config/entry_resources.h"
#include "base/core/log.h"

namespace credence {
namespace {

using WireEntry = spire::api::types::Entry;

constexpr std::size_t kMaxMistakes = 200;
constexpr std::size_t kMaxLoggedMistakes = 50;

/// Without revision number.
WireEntry EntryOfResource(const EntryResource& resource) {
  WireEntry entry;
  entry.set_id(std::string(kFileEntryPrefix) + resource.name);
  *entry.mutable_spiffe_id() = IdInParts(resource.spiffe_id);
  *entry.mutable_parent_id() = IdInParts(resource.parent_id);
  for (const Selector& selector : resource.selectors.items()) {
    auto& added = *entry.add_selectors();
    added.set_type(selector.type);
    added.set_value(selector.value);
  }
  entry.set_x509_svid_ttl(static_cast<std::int32_t>(resource.x509_svid_ttl.count()));
  entry.set_jwt_svid_ttl(static_cast<std::int32_t>(resource.jwt_svid_ttl.count()));
  for (const TrustDomain& domain : resource.federates_with) {
    entry.add_federates_with(domain.name());
  }
  entry.mutable_dns_names()->Assign(resource.dns_names.begin(), resource.dns_names.end());
  entry.set_hint(resource.hint);
  entry.set_admin(resource.admin);
  entry.set_downstream(resource.downstream);
  entry.set_store_svid(resource.store_svid);
  if (resource.expires) {
    entry.set_expires_at(ToUnixSeconds(*resource.expires));
  }
  if (resource.disable_x509_svid_prefetch) {
    entry.mutable_additional_attributes()->set_disable_x509_svid_prefetch(true);
  }
  if (resource.jwt_svid_include_jti) {
    entry.mutable_additional_attributes()->set_jwt_svid_include_jti(true);
  }
  return entry;
}

bool SameContent(WireEntry a, const WireEntry& b) {
  a.set_revision_number(b.revision_number());
  return a.SerializeAsString() == b.SerializeAsString();
}

}  // namespace

EntryFiles::EntryFiles(asio::any_io_executor executor,
                       asio::thread_pool& pool,
                       AuthorityState& state,
                       const Clock& clock,
                       Options options)
    : pool_(pool),
      state_(state),
      clock_(clock),
      options_(std::move(options)),
      status_(executor, Status{}),
      requests_(executor, 0),
      tasks_(executor) {
  if (options_.paths.empty()) {
    return;
  }
  auto watcher = PathWatcher::Make(executor);
  if (watcher.ok()) {
    watcher_ = *std::move(watcher);
  } else {
    LogWarn("Files with entries are not followed; SIGHUP reads them again",
            {{"error", watcher.error()}});
  }
}

void EntryFiles::Start() {
  if (options_.paths.empty()) {
    return;
  }
  FollowPaths();
  const std::uint64_t domains = state_.foreign_domains().version();
  Accept(LoadEntryResources(options_.paths));
  if (watcher_) {
    tasks_.Spawn("files with entries", FollowFiles());
  }
  tasks_.Spawn("foreign trust domains in entries", FollowForeignDomains(domains));
  tasks_.Spawn("readings of entries", ServeRequests());
}

Task<void> EntryFiles::Stop() {
  return tasks_.Stop();
}

void EntryFiles::Reload() {
  requests_.Set(requests_.value() + 1);
}

void EntryFiles::FollowPaths() {
  if (!watcher_) {
    return;
  }
  if (const auto followed = watcher_->Follow(options_.paths); !followed.ok()) {
    LogWarn("Some files with entries are not followed; SIGHUP reads them again",
            {{"error", followed.error()}});
  }
}

Task<void> EntryFiles::FollowFiles() {
  while (true) {
    co_await watcher_->Changed();
    // An editor or a copy changes a file in several steps.
    co_await Sleep(options_.settle);
    watcher_->Drain();
    Reload();
  }
}

Task<void> EntryFiles::FollowForeignDomains(std::uint64_t seen) {
  while (true) {
    seen = co_await state_.foreign_domains().Changed(seen);
    Reload();
  }
}

Task<void> EntryFiles::ServeRequests() {
  std::uint64_t seen = 1;
  while (true) {
    seen = co_await requests_.Changed(seen);
    // First, so that a change during the reading is seen.
    FollowPaths();
    auto read = [paths = options_.paths] { return LoadEntryResources(paths); };
    const EntryResourcesOutcome outcome = co_await RunOn(pool_, std::move(read));
    Accept(outcome);
  }
}

Result<StoredEntry> EntryFiles::Judge(const EntryResource& resource,
                                      const EntryResourcesOutcome& outcome,
                                      const EntrySet& before_it) const {
  const AuthorityTables& tables = state_.tables();
  WireEntry entry = EntryOfResource(resource);
  const auto knows_bundle = [&tables](std::string_view name) {
    return tables.federation.contains(name);
  };
  if (auto good = CheckEntry(entry, state_.trust_domain(), knows_bundle); !good.ok()) {
    return std::move(good).error();
  }
  const bool was_in_file = tables.file_entries.contains(entry.id());
  const StoredEntry before = tables.entries.Find(entry.id());
  if (before && !was_in_file) {
    return Error(Code::kAlreadyExists, fmt::format("there is a stored entry {}", entry.id()));
  }
  StoredEntry twin = before_it.FindTwin(entry);
  if (!twin) {
    twin = tables.entries.FindTwin(entry);
    if (twin && tables.file_entries.contains(twin->id())) {
      twin = nullptr;
    }
  }
  if (twin) {
    return Error(Code::kAlreadyExists,
                 fmt::format("entry {} has the same SPIFFE ID, parent and selectors", twin->id()));
  }
  if (before && SameContent(*before, entry)) {
    return before;
  }
  // Agents ask for an entry again when this has grown, also after a restart.
  const auto changed = outcome.changed_at.find(resource.origin.file);
  const std::int64_t least = before ? before->revision_number() + 1 : 0;
  entry.set_revision_number(
      std::max(least, changed == outcome.changed_at.end() ? 0 : changed->second));
  return StoredEntry(std::make_shared<const WireEntry>(std::move(entry)));
}

void EntryFiles::Accept(const EntryResourcesOutcome& outcome) {
  std::vector<std::string> mistakes;
  for (const ConfigMistake& mistake : outcome.mistakes) {
    mistakes.push_back(mistake.ToString());
  }
  EntrySet entries;
  std::map<std::string, std::string, std::less<>> files;
  for (const EntryResource& resource : outcome.entries) {
    auto entry = Judge(resource, outcome, entries);
    if (entry.ok()) {
      files.emplace((*entry)->id(), resource.origin.file);
      entries.Put(*std::move(entry));
    } else if (mistakes.size() < kMaxMistakes) {
      mistakes.push_back(fmt::format("{}:{}: Entry {}: {}",
                                     resource.origin.file,
                                     resource.origin.line,
                                     resource.name,
                                     entry.error().message()));
    }
  }
  const Status& last = status_.value();
  if (mistakes.empty()) {
    LogInfo("Entries read from files", {{"entries", files.size()}});
    state_.ReplaceFileEntries(entries, std::move(files));
    status_.Set(Status{{}, clock_.Now()});
    return;
  }
  if (mistakes != last.mistakes) {
    LogError("Files with entries have mistakes; the last good set stays in use",
             {{"mistakes", mistakes.size()}, {"entries", state_.tables().file_entries.size()}});
    for (std::size_t i = 0; i < std::min(mistakes.size(), kMaxLoggedMistakes); ++i) {
      LogError("Mistake in a file with entries", {{"mistake", mistakes[i]}});
    }
  }
  status_.Set(Status{std::move(mistakes), last.loaded_at});
}

}  // namespace credence
