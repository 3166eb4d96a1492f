#pragma once

#include <string>
#include <vector>

#include "agent/config/resources.h"

namespace credence {

/// What differs between two sets, as "Destination kv" or "Grant kv-reader". Origins do not count,
/// nor do the targets that adapters made.
struct ResourceChanges {
  std::vector<std::string> added;
  std::vector<std::string> removed;
  std::vector<std::string> changed;

  bool empty() const { return added.empty() && removed.empty() && changed.empty(); }
};

ResourceChanges CompareResources(const Resources& before, const Resources& after);

/// The first names, and how many more there are: "Grant a, Grant b and 3 more".
std::string ListOfNames(const std::vector<std::string>& names);

}  // namespace credence
