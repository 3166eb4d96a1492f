#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/upstream/server_client.h"
#include "base/spiffe/registration_entry.h"

namespace credence {

/// Keeps alive the whole set of entries that it came with.
using SharedEntry = std::shared_ptr<const RegistrationEntry>;

/// Finds the registration entries that a set of selectors earns. Immutable once built. Each entry
/// is filed under the one of its selectors that the fewest entries share, so a look-up reads a
/// handful of entries however many there are.
class EntryIndex {
 public:
  EntryIndex() = default;
  explicit EntryIndex(SharedEntries entries);

  /// By entry id, which is the order in which identities are served. Never null.
  const SharedEntries& entries() const { return entries_; }

  /// The entries whose selectors are a subset of `selectors`, ordered by entry id, without those
  /// for SVID stores.
  std::vector<SharedEntry> Match(const SelectorSet& selectors) const;

 private:
  SharedEntries entries_ = std::make_shared<const EntryMap>();
  /// By Selector::ToString().
  std::unordered_map<std::string, std::vector<SharedEntry>> by_selector_;
};

/// Whether an older one of `entries` (created_at, then id) has the same non-empty hint, so that an
/// SVID of `entry` is not listed beside it. Bundles count for all. Source: Workload API
/// section 5.2.
bool HasOlderTwin(const SharedEntry& entry, const std::vector<SharedEntry>& entries);

}  // namespace credence
