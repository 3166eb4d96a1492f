#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "agent/identity/identity_store.h"
#include "agent/upstream/server_client.h"
#include "base/core/backoff.h"
#include "base/core/clock.h"
#include "base/core/task.h"

namespace credence {

/// How the last syncs went.
struct SyncStatus {
  /// The epoch if there was none yet.
  WallTime last_success;
  /// Why the last one failed; "" if it did not.
  std::string error;
};

/// Brings entries and bundles up to date with the server, again and again. A sync that fails
/// changes nothing in what is served. Threads: core thread.
class Synchronizer {
 public:
  struct Options {
    TrustDomain trust_domain;
    std::chrono::milliseconds interval{5000};
  };

  /// `synced` runs after each success.
  Synchronizer(IdentityStore& store,
               ServerClient& server,
               const Clock& clock,
               Options options,
               std::function<void()> synced);

  /// Syncs for ever; ends by cancellation.
  Task<void> Run();

  const SyncStatus& status() const { return status_; }

 private:
  Task<Result<void>> SyncOnce();
  Task<Result<BundleSet>> FetchFederated(SharedEntries entries, Deadline deadline);

  IdentityStore& store_;
  ServerClient& server_;
  const Clock& clock_;
  Options options_;
  std::function<void()> synced_;
  Backoff backoff_;
  SyncStatus status_;
};

}  // namespace credence
