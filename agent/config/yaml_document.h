#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "agent/config/document.h"

namespace credence {

inline constexpr std::size_t kMaxYamlBytes = std::size_t{1} << 20U;
inline constexpr std::size_t kMaxYamlDepth = 100;
inline constexpr std::size_t kMaxYamlValues = 100'000;

struct YamlDocuments {
  /// Documents with something in them, in order.
  std::vector<Value> documents;
  /// Set for the first mistake of syntax; `documents` then is empty.
  std::optional<SyntaxError> error;
};

/// Reads YAML without anchors, aliases and tags, whose only keys are scalars. Bare true, false and
/// numbers are told from texts; every other bare word is a text. Repeated keys are kept. Bounded by
/// the constants above.
YamlDocuments ReadYaml(std::string_view text);

}  // namespace credence
