#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"

namespace credence {

struct YamlEntry;

/// A YAML value with its place. Plain text keeps its text: who reads it decides what type it has to
/// be.
struct YamlNode {
  enum class Kind { kNull, kScalar, kSequence, kMap };

  Kind kind = Kind::kNull;
  /// Of a scalar.
  std::string text;
  /// In quotes or as a block: then it is text, also if it looks like a number.
  bool quoted = false;
  std::vector<YamlNode> items;
  /// In file order; keys are unique.
  std::vector<YamlEntry> entries;
  /// From 1.
  int line = 1;
  int column = 1;
};

struct YamlEntry {
  /// A scalar.
  YamlNode key;
  YamlNode value;
};

/// Reads one YAML document of at most 256 KiB, 16 levels and 10000 values. Refused as well:
/// repeated keys, anchors, aliases, tags, keys that are not scalars, and a second document. Errors:
/// kInvalidArgument, "line:column: message".
Result<YamlNode> ParseYaml(std::string_view text);

}  // namespace credence
