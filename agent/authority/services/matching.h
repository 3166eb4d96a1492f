#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "spire/api/types/types.pb.h"

namespace credence {

/// Whether `candidate` fits `query` as SelectorMatch and FederatesWithMatch mean it: EXACT and ANY,
/// SUBSET (the candidate is a part of the query and not empty), SUPERSET (it holds all of it).
template <class Item>
bool Fits(std::vector<Item> candidate, std::vector<Item> query, int behaviour) {
  using Match = spire::api::types::SelectorMatch;
  const auto tidy = [](std::vector<Item>& items) {
    std::sort(items.begin(), items.end());
    items.erase(std::unique(items.begin(), items.end()), items.end());
  };
  tidy(candidate);
  tidy(query);
  switch (behaviour) {
    case Match::MATCH_EXACT:
      return candidate == query;
    case Match::MATCH_SUBSET:
      return !candidate.empty() &&
             std::includes(query.begin(), query.end(), candidate.begin(), candidate.end());
    case Match::MATCH_SUPERSET:
      return std::includes(candidate.begin(), candidate.end(), query.begin(), query.end());
    case Match::MATCH_ANY:
      return std::any_of(candidate.begin(), candidate.end(), [&](const Item& one) {
        return std::binary_search(query.begin(), query.end(), one);
      });
    default:
      return false;
  }
}

/// "type:value" of each.
std::vector<std::string> SelectorTexts(const auto& selectors) {
  std::vector<std::string> texts;
  for (const auto& selector : selectors) {
    texts.push_back(selector.type() + ":" + selector.value());
  }
  return texts;
}

/// One page of a map in the order of its keys: calls `take` with each item that `passes`, at most
/// `page_size` times (0 for no bound) and only after the key `token`. Returns the token of the next
/// page, "" at the end.
template <class Items>
std::string TakePage(
    const Items& items, const std::string& token, int page_size, auto passes, auto take) {
  std::string last;
  int taken = 0;
  auto at = token.empty() ? items.begin() : items.upper_bound(token);
  for (; at != items.end(); ++at) {
    if (!passes(at->second)) {
      continue;
    }
    if (page_size > 0 && taken == page_size) {
      return last;
    }
    take(at->second);
    last = at->first;
    ++taken;
  }
  return "";
}

}  // namespace credence
