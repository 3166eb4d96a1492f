#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include "agent/identity/identity_store.h"
#include "agent/identity/jwt_svid_cache.h"
#include "agent/identity/synchronizer.h"
#include "agent/identity/x509_signer.h"
#include "base/core/task_group.h"

namespace credence {

/// The agent's identities, kept fresh: what the endpoints and the exchange ask for SVIDs and
/// bundles. Threads: core thread.
class IdentityService {
 public:
  struct Options {
    TrustDomain trust_domain;
    std::chrono::milliseconds sync_interval{5000};
    X509Signer::Options x509;
    JwtSvidCache::Options jwt;
  };

  /// References outlive this object. `bundle_changed` gets each new bundle of the own trust domain.
  IdentityService(asio::any_io_executor executor,
                  asio::thread_pool& pool,
                  ServerClient& server,
                  const Clock& clock,
                  Options options,
                  std::function<void(SharedBundle)> bundle_changed);

  /// Starts to sync and sign. The server may be away; what it does not answer comes later.
  void Start();
  Task<void> Stop();

  IdentityStore& store() { return store_; }
  const SyncStatus& sync_status() const { return synchronizer_.status(); }
  /// Whether the server says by itself what has changed, as only a trust authority of Credence
  /// does.
  bool server_tells() const { return synchronizer_.follows_server(); }
  std::size_t jwt_svid_count() const { return jwt_svids_.size(); }

  /// Entries to keep signed while a caller needs them.
  X509Signer::Hold Want(const std::vector<SharedEntry>& entries) { return signer_.Want(entries); }

  /// A JWT-SVID of `entry`, cached where that is allowed. Errors: those of the server;
  /// kDeadlineExceeded.
  Task<Result<SharedJwtSvid>> GetJwtSvid(SharedEntry entry,
                                         std::vector<std::string> audience,
                                         Deadline deadline) {
    return jwt_svids_.Get(std::move(entry), std::move(audience), deadline);
  }

  /// A JWT-SVID that nobody else has or gets. Errors: those of the server; kInternal if it signed
  /// for another ID or audience.
  Task<Result<JwtSvid>> NewJwtSvid(std::string entry_id,
                                   std::vector<std::string> audience,
                                   Deadline deadline);

 private:
  void Synced();
  /// A machine that was suspended has SVIDs grown old, and may have missed what the server said.
  Task<void> WatchClock();

  ServerClient& server_;
  std::function<void(SharedBundle)> bundle_changed_;
  SharedBundle last_bundle_;
  IdentityStore store_;
  JwtSvidCache jwt_svids_;
  X509Signer signer_;
  Synchronizer synchronizer_;
  TaskGroup tasks_;
};

}  // namespace credence
