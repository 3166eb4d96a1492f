#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/core/result.h"
#include "base/core/secret_bytes.h"
#include "base/http/secret_buffer.h"

namespace credence {

enum class ValueType {
  /// Printable ASCII.
  kText,
  /// Visible ASCII, secret.
  kToken,
  /// URL path segments; their slashes stay in a URL.
  kPath,
  kInteger,
  /// An integer that counts seconds, positive.
  kSeconds,
  kBoolean,
};

/// A value that templates can name. Secrets are in `secret`, all else in `text`.
struct NamedValue {
  ValueType type = ValueType::kText;
  std::string text;
  SharedSecret secret;

  std::string_view Reveal() const {
    return secret == nullptr ? std::string_view(text) : secret->Reveal();
  }
};

using NamedValues = std::map<std::string, NamedValue, std::less<>>;

/// Text with {{name}}, {{name?}} (without a value the whole text vanishes) and {{name|default}}.
struct TextTemplate {
  struct Part {
    std::string literal;
    /// "" for a part that is literal text only.
    std::string name;
    bool optional = false;
    std::optional<std::string> fallback;
  };

  std::vector<Part> parts;
};

/// Errors: kInvalidArgument for braces that do not pair or a name that is not [a-z][a-z0-9_]*.
Result<TextTemplate> ParseTemplate(std::string_view text);

/// True if the template asks for an optional value that is not there.
bool Vanishes(const TextTemplate& text, const NamedValues& values);

/// kShell: a word, or a part of one, for a POSIX shell.
enum class Escape { kNone, kJson, kUrlPath, kShell };

/// Appends the text with the values filled in. The caller has asked Vanishes(); a required value
/// that is missing is a bug, because the adapter file was checked.
void Render(const TextTemplate& text, const NamedValues& values, Escape escape, SecretBuffer& out);

/// The same as plain text, for what holds no secret.
std::string RenderPlain(const TextTemplate& text, const NamedValues& values, Escape escape);

struct JsonMember;

/// A JSON document whose strings are templates.
struct JsonTemplate {
  enum class Kind { kObject, kArray, kText, kLiteral };

  Kind kind = Kind::kLiteral;
  std::vector<JsonMember> members;
  std::vector<JsonTemplate> items;
  TextTemplate text;
  /// true, false, or a whole number.
  std::string literal;
};

struct JsonMember {
  std::string name;
  JsonTemplate value;
};

/// Appends the document. A member or item that vanishes is left out with its key. A string that is
/// one {{name}} of an integer, seconds or boolean value becomes a bare JSON number or boolean.
void RenderJson(const JsonTemplate& json, const NamedValues& values, SecretBuffer& out);

}  // namespace credence
