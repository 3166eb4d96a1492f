#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/result.h"
#include "plugins/destinations/declarative/text_template.h"
#include "plugins/destinations/declarative/yaml_tree.h"

namespace credence {

/// A name that templates of some place may use.
struct NameFacts {
  /// May be without a value, so a template has to say {{name?}} or {{name|default}}.
  bool optional = false;
  bool secret = false;
};
using KnownNames = std::map<std::string, NameFacts, std::less<>>;

/// Reads typed values out of a YAML tree and collects every mistake on the way. After a mistake a
/// reading function returns something harmless, so that the rest of the file is read as well.
class FileReader {
 public:
  explicit FileReader(std::string_view file) : file_(file) {}

  void Fail(const YamlNode& at, std::string_view message);
  /// The mistakes, one a line; success if there is none.
  Result<void> Verdict() const;

  /// Checks that `node` is a map with no keys but `allowed`.
  bool IsMap(const YamlNode& node, std::initializer_list<std::string_view> allowed);
  /// Checks that `node` is a map; its keys are the file's own.
  bool IsFreeMap(const YamlNode& node);
  bool IsSequence(const YamlNode& node);

  /// The value of `key`; null if it is not there.
  static const YamlNode* Find(const YamlNode& map, std::string_view key);
  /// The same; its absence is a mistake.
  const YamlNode* Require(const YamlNode& map, std::string_view key);

  /// Text of at most 1024 bytes without control characters.
  std::string Text(const YamlNode& node);
  /// [a-z][a-z0-9_]*, at most 64 bytes.
  std::string Name(const YamlNode& node);
  std::int64_t Integer(const YamlNode& node, std::int64_t min, std::int64_t max);
  bool Boolean(const YamlNode& node);
  /// A JSON pointer (RFC 6901).
  std::string Pointer(const YamlNode& node);
  /// A header name.
  std::string Header(const YamlNode& node);

  enum class Secrets { kAllowed, kRefused };
  /// A template that uses `names` only, and right.
  TextTemplate Template(const YamlNode& node, const KnownNames& names, Secrets secrets);
  /// A JSON document with templates as strings.
  JsonTemplate Json(const YamlNode& node, const KnownNames& names, Secrets secrets);

 private:
  std::string file_;
  std::vector<std::string> mistakes_;
};

}  // namespace credence
