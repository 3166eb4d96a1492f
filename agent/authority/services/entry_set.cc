#include "agent/authority/services/entry_set.h"

#include <algorithm>
#include <utility>

namespace credence {
namespace {

using spire::api::types::Entry;
using spire::api::types::Selector;

constexpr std::string_view kServerPath = "/spire/server";

bool Has(const auto& selectors, const Selector& wanted) {
  return std::any_of(selectors.begin(), selectors.end(), [&](const Selector& one) {
    return one.type() == wanted.type() && one.value() == wanted.value();
  });
}

bool Includes(const auto& all, const auto& part) {
  return std::all_of(part.begin(), part.end(), [&](const Selector& one) { return Has(all, one); });
}

bool SameSelectors(const Entry& a, const Entry& b) {
  return Includes(a.selectors(), b.selectors()) && Includes(b.selectors(), a.selectors());
}

bool Expired(const Entry& entry, std::int64_t now) {
  return entry.expires_at() != 0 && entry.expires_at() <= now;
}

}  // namespace

std::string TextOfId(const spire::api::types::SPIFFEID& id) {
  const auto parsed = SpiffeId::FromParts(id.trust_domain(), id.path());
  return parsed.ok() ? parsed->text() : "";
}

spire::api::types::SPIFFEID IdInParts(const SpiffeId& id) {
  spire::api::types::SPIFFEID parts;
  parts.set_trust_domain(id.trust_domain().name());
  parts.set_path(std::string(id.path()));
  return parts;
}

void EntrySet::Put(StoredEntry entry) {
  Erase(entry->id());
  by_parent_[TextOfId(entry->parent_id())].insert(entry->id());
  by_spiffe_id_[TextOfId(entry->spiffe_id())].insert(entry->id());
  std::string id = entry->id();
  by_id_.emplace(std::move(id), std::move(entry));
}

void EntrySet::Erase(const std::string& id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) {
    return;
  }
  const auto forget = [&id](auto& index, const std::string& key) {
    const auto place = index.find(key);
    place->second.erase(id);
    if (place->second.empty()) {
      index.erase(place);
    }
  };
  forget(by_parent_, TextOfId(found->second->parent_id()));
  forget(by_spiffe_id_, TextOfId(found->second->spiffe_id()));
  by_id_.erase(found);
}

StoredEntry EntrySet::Find(std::string_view id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

StoredEntry EntrySet::FindTwin(const Entry& entry) const {
  const auto same_id = by_spiffe_id_.find(TextOfId(entry.spiffe_id()));
  if (same_id == by_spiffe_id_.end()) {
    return nullptr;
  }
  const std::string parent = TextOfId(entry.parent_id());
  for (const std::string& id : same_id->second) {
    const StoredEntry& other = by_id_.find(id)->second;
    if (TextOfId(other->parent_id()) == parent && SameSelectors(*other, entry)) {
      return other;
    }
  }
  return nullptr;
}

bool EntrySet::IsAliasOf(const Entry& entry, const std::vector<Selector>& node_selectors) const {
  return entry.parent_id().path() == kServerPath && Includes(node_selectors, entry.selectors());
}

std::vector<StoredEntry> EntrySet::AuthorizedFor(const std::string& agent_id,
                                                 const std::vector<Selector>& node_selectors,
                                                 std::int64_t now) const {
  std::map<std::string, StoredEntry, std::less<>> found;
  std::set<std::string> parents_seen;
  std::vector<std::string> parents{agent_id};
  const auto take_children = [&](const std::string& parent, bool aliases_only) {
    const auto children = by_parent_.find(parent);
    if (children == by_parent_.end()) {
      return;
    }
    for (const std::string& id : children->second) {
      const StoredEntry& entry = by_id_.find(id)->second;
      if (Expired(*entry, now) || (aliases_only && !IsAliasOf(*entry, node_selectors))) {
        continue;
      }
      found.emplace(id, entry);
      parents.push_back(TextOfId(entry->spiffe_id()));
    }
  };
  const auto agent = SpiffeId::Parse(agent_id);
  if (agent.ok()) {
    take_children(agent->trust_domain().IdString() + std::string(kServerPath), true);
  }
  while (!parents.empty()) {
    const std::string parent = std::move(parents.back());
    parents.pop_back();
    if (parents_seen.insert(parent).second) {
      take_children(parent, false);
    }
  }
  std::vector<StoredEntry> entries;
  entries.reserve(found.size());
  for (auto& [id, entry] : found) {
    entries.push_back(std::move(entry));
  }
  return entries;
}

StoredEntry EntrySet::FindAuthorized(std::string_view entry_id,
                                     const std::string& agent_id,
                                     const std::vector<Selector>& node_selectors,
                                     std::int64_t now) const {
  StoredEntry wanted = Find(entry_id);
  if (!wanted || Expired(*wanted, now)) {
    return nullptr;
  }
  std::vector<StoredEntry> way{wanted};
  std::set<std::string> seen;
  while (!way.empty()) {
    const StoredEntry entry = std::move(way.back());
    way.pop_back();
    const std::string parent = TextOfId(entry->parent_id());
    if (parent == agent_id || IsAliasOf(*entry, node_selectors)) {
      return wanted;
    }
    if (!seen.insert(parent).second) {
      continue;
    }
    if (const auto above = by_spiffe_id_.find(parent); above != by_spiffe_id_.end()) {
      for (const std::string& id : above->second) {
        if (const StoredEntry& one = by_id_.find(id)->second; !Expired(*one, now)) {
          way.push_back(one);
        }
      }
    }
  }
  return nullptr;
}

bool EntrySet::IsAdmin(const std::string& spiffe_id, std::int64_t now) const {
  const auto found = by_spiffe_id_.find(spiffe_id);
  return found != by_spiffe_id_.end() &&
         std::any_of(found->second.begin(), found->second.end(), [&](const std::string& id) {
           const Entry& entry = *by_id_.find(id)->second;
           return entry.admin() && !Expired(entry, now);
         });
}

}  // namespace credence
