#include "base/spiffe/selector.h"

#include <algorithm>
#include <iterator>

namespace credence {

Result<Selector> Selector::Parse(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    return Error(Code::kInvalidArgument, "a selector is written type:value, such as unix:uid:1000");
  }
  return FromParts(text.substr(0, colon), text.substr(colon + 1));
}

Result<Selector> Selector::FromParts(std::string_view type, std::string_view value) {
  if (type.empty() || value.empty()) {
    return Error(Code::kInvalidArgument,
                 "a selector needs a type and a value, such as unix:uid:1000");
  }
  if (type.find(':') != std::string_view::npos) {
    return Error(Code::kInvalidArgument, "a selector type holds no colon");
  }
  return Selector{std::string(type), std::string(value)};
}

SelectorSet::SelectorSet(std::vector<Selector> selectors) : items_(std::move(selectors)) {
  std::sort(items_.begin(), items_.end());
  items_.erase(std::unique(items_.begin(), items_.end()), items_.end());
}

bool SelectorSet::Contains(const Selector& selector) const {
  return std::binary_search(items_.begin(), items_.end(), selector);
}

bool SelectorSet::Includes(const SelectorSet& subset) const {
  return std::includes(items_.begin(), items_.end(), subset.items_.begin(), subset.items_.end());
}

std::vector<Selector> SelectorSet::Missing(const SelectorSet& wanted) const {
  std::vector<Selector> missing;
  std::set_difference(wanted.items_.begin(),
                      wanted.items_.end(),
                      items_.begin(),
                      items_.end(),
                      std::back_inserter(missing));
  return missing;
}

}  // namespace credence
