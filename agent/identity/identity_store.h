#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "agent/identity/entry_index.h"
#include "base/core/clock.h"
#include "base/core/watch.h"
#include "base/svid/bundle.h"
#include "base/svid/x509_svid.h"

namespace credence {

/// An X509-SVID as it is kept: signed ahead, shared by every stream that serves it.
struct HeldX509Svid {
  X509Svid svid;
  /// Of the entry it was signed for; another entry means sign again.
  std::int64_t entry_revision = 0;
  std::int64_t entry_created_at = 0;
  WallTime renew_at;
};
using SharedX509Svid = std::shared_ptr<const HeldX509Svid>;

/// What the agent knows of identities: entries, X509-SVIDs and bundles, as of the last sync. Pure
/// state; the synchronizer and the signer write it, the endpoints read it. Threads: core thread.
class IdentityStore {
 public:
  explicit IdentityStore(asio::any_io_executor executor) : changes_(std::move(executor), {}) {}

  /// Wakes after anything that a stream may have to push.
  Watch<std::monostate>& changes() { return changes_; }

  /// Whether entries have been received once. Before that nobody can be told "no identity".
  bool synced() const { return synced_; }

  /// X509-SVIDs are dropped whose entries are gone, are for another identity now or are no longer
  /// for workloads. No change, no wake-up.
  void ReplaceEntries(SharedEntries entries);
  const SharedEntries& entries() const { return index_.entries(); }
  std::vector<SharedEntry> Match(const SelectorSet& selectors) const {
    return index_.Match(selectors);
  }

  /// null when there is none (yet).
  SharedX509Svid FindX509(std::string_view entry_id) const;
  void PutX509(const std::string& entry_id, SharedX509Svid svid);
  void DropX509(const std::string& entry_id);
  const std::map<std::string, SharedX509Svid, std::less<>>& x509_svids() const {
    return x509_svids_;
  }

  void ReplaceOwnBundle(SharedBundle bundle);
  /// Federated bundles by trust domain name; those not in `bundles` are withdrawn.
  void ReplaceFederatedBundles(BundleSet bundles);
  /// null before the first.
  const SharedBundle& own_bundle() const { return own_bundle_; }
  const BundleSet& federated_bundles() const { return federated_bundles_; }

  /// Wakes the streams, once for all X509-SVIDs put since.
  void Publish() { changes_.Set({}); }

 private:
  EntryIndex index_;
  std::map<std::string, SharedX509Svid, std::less<>> x509_svids_;
  SharedBundle own_bundle_;
  BundleSet federated_bundles_;
  bool synced_ = false;
  Watch<std::monostate> changes_;
};

}  // namespace credence
