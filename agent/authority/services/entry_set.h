#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/spiffe/spiffe_id.h"

#include "spire/api/types/types.pb.h"

namespace credence {

using StoredEntry = std::shared_ptr<const spire::api::types::Entry>;

/// "spiffe://..." of an ID in parts; "" for parts that are no SPIFFE ID.
std::string TextOfId(const spire::api::types::SPIFFEID& id);
/// The other way.
spire::api::types::SPIFFEID IdInParts(const SpiffeId& id);

/// All registration entries, found by ID, by parent, and by what an agent may serve.
/// Threads: core thread.
class EntrySet {
 public:
  /// Adds or replaces.
  void Put(StoredEntry entry);
  void Erase(const std::string& id);

  /// nullptr if there is none.
  StoredEntry Find(std::string_view id) const;
  /// The entry with the same SPIFFE ID, parent and selectors; nullptr if there is none.
  StoredEntry FindTwin(const spire::api::types::Entry& entry) const;
  /// In the order of their IDs.
  const std::map<std::string, StoredEntry, std::less<>>& all() const { return by_id_; }

  /// What an agent may serve: entries whose parent it is, their children, and so on; the same for
  /// every node alias (parent /spire/server) whose selectors are all among `node_selectors`. In the
  /// order of their IDs, without those that have expired.
  std::vector<StoredEntry> AuthorizedFor(
      const std::string& agent_id,
      const std::vector<spire::api::types::Selector>& node_selectors,
      std::int64_t now) const;
  /// Whether one of those is `entry_id`: the way up from the entry, without making the list.
  StoredEntry FindAuthorized(std::string_view entry_id,
                             const std::string& agent_id,
                             const std::vector<spire::api::types::Selector>& node_selectors,
                             std::int64_t now) const;

  /// Whether an entry marked admin has this SPIFFE ID.
  bool IsAdmin(const std::string& spiffe_id, std::int64_t now) const;

 private:
  using Ids = std::set<std::string, std::less<>>;

  bool IsAliasOf(const spire::api::types::Entry& entry,
                 const std::vector<spire::api::types::Selector>& node_selectors) const;

  std::map<std::string, StoredEntry, std::less<>> by_id_;
  /// Entry IDs by the text of their parent, and by that of their own SPIFFE ID.
  std::unordered_map<std::string, Ids> by_parent_;
  std::unordered_map<std::string, Ids> by_spiffe_id_;
};

}  // namespace credence
