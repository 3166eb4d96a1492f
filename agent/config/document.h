#pragma once

#include <compare>
#include <optional>
#include <string>
#include <vector>

namespace credence {

/// A place in a file, both counted from 1; columns count characters, not bytes. 0:0 is the file as
/// a whole.
struct Position {
  int line = 0;
  int column = 0;

  auto operator<=>(const Position&) const = default;
};

enum class ValueKind { kNull, kBool, kNumber, kString, kList, kObject };

struct Entry;

/// A node of a configuration or resource file, whatever language it was written in.
struct Value {
  Position at;
  ValueKind kind = ValueKind::kNull;
  /// kString: the text without quotes and escapes; kNumber and kBool: as written.
  std::string text;
  /// kList.
  std::vector<Value> items;
  /// kObject: in the order of the file; keys may repeat, and the reader of the object decides what
  /// that means.
  std::vector<Entry> entries;
};

/// A key with its value. A labelled block `A "b" { }` is the key A with an object that has the key
/// b.
struct Entry {
  std::string key;
  Position at;
  Value value;
};

struct SyntaxError {
  Position at;
  /// What was expected; never the text of the file, which may hold a secret.
  std::string message;
};

/// A whole file: `root` is an object, or `error` says why there is none.
struct Document {
  Value root;
  std::optional<SyntaxError> error;
};

}  // namespace credence
