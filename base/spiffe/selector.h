#pragma once

#include <compare>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"

namespace credence {

/// One verified fact about a workload or node, written "type:value", such as "unix:uid:1000" (type
/// "unix", value "uid:1000"). The type holds no colon; neither part is empty. Source:
/// spire.api.types.Selector.
struct Selector {
  std::string type;
  std::string value;

  /// Splits at the first colon. Errors: kInvalidArgument.
  static Result<Selector> Parse(std::string_view text);
  static Result<Selector> FromParts(std::string_view type, std::string_view value);

  std::string ToString() const { return type + ":" + value; }
  auto operator<=>(const Selector&) const = default;
};

/// A sorted list without repeats; the form in which sets of selectors are compared and used as
/// keys.
class SelectorSet {
 public:
  SelectorSet() = default;
  explicit SelectorSet(std::vector<Selector> selectors);

  const std::vector<Selector>& items() const { return items_; }
  bool empty() const { return items_.empty(); }
  bool Contains(const Selector& selector) const;
  /// Every selector of `subset` is here.
  bool Includes(const SelectorSet& subset) const;
  /// Those of `wanted` that are not here, in order.
  std::vector<Selector> Missing(const SelectorSet& wanted) const;

  bool operator==(const SelectorSet&) const = default;

 private:
  std::vector<Selector> items_;
};

}  // namespace credence
