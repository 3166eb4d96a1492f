#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include "agent/identity/identity_store.h"
#include "agent/upstream/server_client.h"
#include "base/core/clock.h"
#include "base/core/task.h"
#include "base/crypto/private_key.h"

namespace credence {

/// Keeps the store's X509-SVIDs signed: ahead of demand up to a soft cap, at once for entries that
/// a caller waits for, again at half of their life, when their entry changed, when an authority
/// that they chain to is tainted or when they no longer chain to the bundle. Threads: core thread;
/// keys are made on the pool.
class X509Signer {
 public:
  struct Options {
    KeyType key_type = KeyType::kEcP256;
    std::optional<std::chrono::milliseconds> availability_target;
    /// Signed ahead of demand up to this many; entries in use may exceed it.
    std::size_t cache_max_size = 1000;
  };

  X509Signer(IdentityStore& store,
             ServerClient& server,
             asio::thread_pool& pool,
             asio::any_io_executor executor,
             const Clock& clock,
             Options options);

  /// Entries that a caller needs for as long as this object lives.
  class Hold {
   public:
    Hold() = default;
    Hold(X509Signer& signer, const std::vector<SharedEntry>& entries);
    Hold(Hold&& other) noexcept
        : signer_(std::exchange(other.signer_, nullptr)), ids_(std::move(other.ids_)) {}
    Hold& operator=(Hold&& other) noexcept;
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() { Release(); }

   private:
    void Release();
    X509Signer* signer_ = nullptr;
    std::vector<std::string> ids_;
  };

  /// Has `entries` signed on the next pass, whatever the cap, and kept while the answer lives.
  /// The signer outlives every Hold.
  Hold Want(const std::vector<SharedEntry>& entries) { return Hold(*this, entries); }
  /// Something changed that may call for signing: entries or the own bundle. What a new bundle no
  /// longer vouches for is dropped before anybody is served.
  void OnChange();
  /// Looks at the schedule now.
  void Wake() { wake_.cancel(); }

  /// Signs for ever; ends by cancellation.
  Task<void> Run();

 private:
  struct Use {
    int holders = 0;
    WallTime last;
  };
  struct Attempt {
    SharedEntry entry;
    PrivateKey key;
  };
  /// What was signed, with what the bundle says of it.
  struct CheckedX509 {
    SignedX509 chain;
    bool tainted = false;
  };

  /// Entries to sign now, the wanted first.
  std::vector<SharedEntry> Due();
  bool NeedsSigning(const RegistrationEntry& entry, WallTime now) const;
  Task<void> SignBatch(std::vector<SharedEntry> batch);
  /// `chain` if it may be served: for the entry's ID and our key, and trusted by those who have the
  /// bundle. A server that signs with an authority its bundle has not shown yet is asked again.
  /// Runs on the pool.
  static CheckedX509 Checked(const Attempt& attempt,
                             SignedX509 chain,
                             const SharedBundle& bundle,
                             WallTime now);
  void Keep(const Attempt& attempt, CheckedX509 checked);
  void EvictUnused();
  /// Marks what a new bundle calls tainted, and drops what it no longer vouches for: true if
  /// something was dropped.
  bool CheckHeld();
  Task<void> WaitForWork();

  IdentityStore& store_;
  ServerClient& server_;
  asio::thread_pool& pool_;
  const Clock& clock_;
  Options options_;
  asio::steady_timer wake_;
  /// Entry ids that callers hold, with how many do. Lingers a while at zero, so that callers who
  /// come and go find their SVID.
  std::map<std::string, Use, std::less<>> used_;
  /// Entry ids that nothing good came of, with when to try again.
  std::map<std::string, WallTime, std::less<>> pause_until_;
  /// Entry ids whose SVID is signed by a tainted authority. It is served until the next one is
  /// here.
  std::set<std::string, std::less<>> tainted_;
  /// Halved by a failed call, doubled by a good one.
  std::size_t batch_size_;
  /// The bundle that all held SVIDs were checked against.
  SharedBundle checked_against_;
};

}  // namespace credence
