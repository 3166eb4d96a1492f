#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "agent/identity/identity_store.h"
#include "agent/upstream/server_client.h"
#include "base/core/backoff.h"
#include "base/core/clock.h"
#include "base/core/task.h"
#include "base/core/watch.h"

namespace credence {

/// How the last syncs went.
struct SyncStatus {
  /// The epoch if there was none yet.
  WallTime last_success;
  /// Why the last one failed; "" if it did not.
  std::string error;
};

/// Brings entries and bundles up to date with the server, again and again: every few seconds, or
/// when the server says that there is something new if it is one that does. A sync that fails
/// changes nothing in what is served. What the server is wrong about alone is left out: an entry of
/// another trust domain, a federated bundle that cannot be used (the last one stays).
/// Threads: core thread.
class Synchronizer {
 public:
  struct Options {
    TrustDomain trust_domain;
    std::chrono::milliseconds interval{5000};
  };

  /// `synced` runs after each success.
  Synchronizer(asio::any_io_executor executor,
               IdentityStore& store,
               ServerClient& server,
               const Clock& clock,
               Options options,
               std::function<void()> synced);

  /// Syncs for ever; ends by cancellation.
  Task<void> Run();
  /// Hears from the server what has changed, beside Run(). Returns when the server never tells.
  Task<void> FollowServer();

  /// Without waiting for the interval to end.
  void SyncSoon() { told_.Set(told_.value() + 1); }

  const SyncStatus& status() const { return status_; }
  /// The server tells of changes now.
  bool follows_server() const { return follows_; }

 private:
  Task<Result<void>> SyncOnce();
  /// For `interval`, or until the server calls for a sync.
  Task<void> WaitForNext(std::chrono::nanoseconds interval);
  /// Without those of other trust domains (ID-24).
  SharedEntries OwnEntries(SharedEntries entries) const;
  Task<Result<BundleSet>> FetchFederated(SharedEntries entries, Deadline deadline);

  IdentityStore& store_;
  ServerClient& server_;
  const Clock& clock_;
  Options options_;
  std::function<void()> synced_;
  Backoff backoff_;
  /// Changes with each call for a sync.
  Watch<std::uint64_t> told_;
  /// What of it the last sync was begun after.
  std::uint64_t synced_with_ = 0;
  /// The server tells now, so that asking it is for what gets lost.
  bool follows_ = false;
  SyncStatus status_;
};

}  // namespace credence
