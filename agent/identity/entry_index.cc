#include "agent/identity/entry_index.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace credence {
namespace {

bool IsOlder(const RegistrationEntry& a, const RegistrationEntry& b) {
  return a.created_at != b.created_at ? a.created_at < b.created_at : a.id < b.id;
}

}  // namespace

EntryIndex::EntryIndex(SharedEntries entries) : entries_(std::move(entries)) {
  std::unordered_map<std::string, std::size_t> shared_by;
  for (const auto& [id, entry] : *entries_) {
    for (const Selector& selector : entry.selectors.items()) {
      ++shared_by[selector.ToString()];
    }
  }
  for (const auto& [id, entry] : *entries_) {
    const auto& selectors = entry.selectors.items();
    if (entry.store_svid || selectors.empty()) {
      continue;
    }
    const auto rarest =
        std::min_element(selectors.begin(), selectors.end(), [&](const auto& a, const auto& b) {
          return shared_by[a.ToString()] < shared_by[b.ToString()];
        });
    by_selector_[rarest->ToString()].push_back(SharedEntry(entries_, &entry));
  }
}

std::vector<SharedEntry> EntryIndex::Match(const SelectorSet& selectors) const {
  std::vector<SharedEntry> matches;
  for (const Selector& selector : selectors.items()) {
    const auto filed = by_selector_.find(selector.ToString());
    if (filed == by_selector_.end()) {
      continue;
    }
    for (const SharedEntry& entry : filed->second) {
      if (selectors.Includes(entry->selectors)) {
        matches.push_back(entry);
      }
    }
  }
  std::sort(
      matches.begin(), matches.end(), [](const auto& a, const auto& b) { return a->id < b->id; });
  return matches;
}

bool HasOlderTwin(const SharedEntry& entry, const std::vector<SharedEntry>& entries) {
  return !entry->hint.empty() &&
         std::any_of(entries.begin(), entries.end(), [&](const SharedEntry& other) {
           return other != entry && other->hint == entry->hint && IsOlder(*other, *entry);
         });
}

}  // namespace credence
