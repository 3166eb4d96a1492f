#include "agent/config/resource_changes.h"

#include <algorithm>
#include <string_view>
#include <tuple>

#include <fmt/format.h>

namespace credence {
namespace {

constexpr std::size_t kMaxNames = 20;

auto Meaning(const DestinationResource& resource) {
  return std::tie(
      resource.owner, resource.sensitivity, resource.adapter, resource.settings, resource.max_ttl);
}

auto Meaning(const GrantResource& resource) {
  return std::tie(resource.owner,
                  resource.expires,
                  resource.spiffe_id,
                  resource.selectors,
                  resource.assurance,
                  resource.destination,
                  resource.max_ttl,
                  resource.deliver);
}

/// Both lists are sorted by name.
template <class T>
void Compare(std::string_view kind,
             const std::vector<T>& before,
             const std::vector<T>& after,
             ResourceChanges& into) {
  auto old = before.begin();
  auto now = after.begin();
  const auto name = [&](const T& resource) { return fmt::format("{} {}", kind, resource.name); };
  while (old != before.end() || now != after.end()) {
    if (now == after.end() || (old != before.end() && old->name < now->name)) {
      into.removed.push_back(name(*old++));
    } else if (old == before.end() || now->name < old->name) {
      into.added.push_back(name(*now++));
    } else {
      if (Meaning(*old) != Meaning(*now)) {
        into.changed.push_back(name(*now));
      }
      ++old;
      ++now;
    }
  }
}

}  // namespace

ResourceChanges CompareResources(const Resources& before, const Resources& after) {
  ResourceChanges changes;
  Compare("Destination", before.destinations, after.destinations, changes);
  Compare("Grant", before.grants, after.grants, changes);
  return changes;
}

std::string ListOfNames(const std::vector<std::string>& names) {
  const std::size_t shown = std::min(names.size(), kMaxNames);
  std::string list;
  for (std::size_t i = 0; i < shown; ++i) {
    list += (i == 0 ? "" : ", ") + names[i];
  }
  return names.size() > shown ? fmt::format("{} and {} more", list, names.size() - shown) : list;
}

}  // namespace credence
