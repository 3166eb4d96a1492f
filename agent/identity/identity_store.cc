#include "agent/identity/identity_store.h"

#include <algorithm>
#include <utility>

namespace credence {
namespace {

bool SameContent(const BundleSet& a, const BundleSet& b) {
  return std::equal(
      a.begin(), a.end(), b.begin(), b.end(), [](const auto& left, const auto& right) {
        return left.first == right.first && *left.second == *right.second;
      });
}

}  // namespace

void IdentityStore::ReplaceEntries(SharedEntries entries) {
  const bool first = !std::exchange(synced_, true);
  if (!first && entries == index_.entries()) {
    return;
  }
  std::erase_if(x509_svids_, [&](const auto& held) {
    const auto entry = entries->find(held.first);
    return entry == entries->end() || entry->second.store_svid ||
           entry->second.spiffe_id != held.second->svid.chain.id;
  });
  index_ = EntryIndex(std::move(entries));
  Publish();
}

SharedX509Svid IdentityStore::FindX509(std::string_view entry_id) const {
  const auto found = x509_svids_.find(entry_id);
  return found == x509_svids_.end() ? nullptr : found->second;
}

void IdentityStore::PutX509(const std::string& entry_id, SharedX509Svid svid) {
  x509_svids_[entry_id] = std::move(svid);
}

void IdentityStore::DropX509(const std::string& entry_id) {
  x509_svids_.erase(entry_id);
}

void IdentityStore::ReplaceOwnBundle(SharedBundle bundle) {
  if (own_bundle_ && *own_bundle_ == *bundle) {
    return;
  }
  own_bundle_ = std::move(bundle);
  Publish();
}

void IdentityStore::ReplaceFederatedBundles(BundleSet bundles) {
  if (SameContent(bundles, federated_bundles_)) {
    return;
  }
  federated_bundles_ = std::move(bundles);
  Publish();
}

}  // namespace credence
