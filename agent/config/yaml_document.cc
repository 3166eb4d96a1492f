#include "agent/config/yaml_document.h"

#include <algorithm>
#include <array>
#include <sstream>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "agent/config/decoder.h"
#include "agent/config/hcl/utf8.h"

namespace credence {
namespace {

Position ToPosition(const YAML::Mark& mark) {
  return mark.is_null() ? Position{} : Position{mark.line + 1, mark.column + 1};
}

std::size_t CountDigits(std::string_view text) {
  const auto end =
      std::find_if(text.begin(), text.end(), [](char c) { return c < '0' || c > '9'; });
  return static_cast<std::size_t>(end - text.begin());
}

/// A decimal number such as -12, 1.5 or 1e3.
bool LooksLikeNumber(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) {
    text.remove_prefix(1);
  }
  const std::size_t whole = CountDigits(text);
  text.remove_prefix(whole);
  if (text.starts_with('.')) {
    text.remove_prefix(1 + CountDigits(text.substr(1)));
  }
  if (whole > 0 && (text.starts_with('e') || text.starts_with('E'))) {
    text.remove_prefix(1);
    if (text.starts_with('-') || text.starts_with('+')) {
      text.remove_prefix(1);
    }
    const std::size_t digits = CountDigits(text);
    return digits > 0 && digits == text.size();
  }
  return whole > 0 && text.empty();
}

ValueKind KindOfBareWord(std::string_view text) {
  static constexpr std::array<std::string_view, 6> kBooleans = {
      "true", "True", "TRUE", "false", "False", "FALSE"};
  if (std::find(kBooleans.begin(), kBooleans.end(), text) != kBooleans.end()) {
    return ValueKind::kBool;
  }
  return LooksLikeNumber(text) ? ValueKind::kNumber : ValueKind::kString;
}

/// Builds the tree as the parser reports it. After the first mistake it ignores what comes, which
/// costs no more than the bounded text: the parser cannot be stopped but by throwing.
class TreeBuilder final : public YAML::EventHandler {
 public:
  std::vector<Value> TakeDocuments() { return std::move(documents_); }
  const std::optional<SyntaxError>& error() const { return error_; }

  void OnDocumentStart(const YAML::Mark& /*mark*/) override { open_.clear(); }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (Plain(mark, "?", anchor)) {
      Add(Value{.at = ToPosition(mark)});
    }
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    Fail(mark, "aliases (*name) are not allowed: write the value out");
  }

  void OnScalar(const YAML::Mark& mark,
                const std::string& tag,
                YAML::anchor_t anchor,
                const std::string& text) override {
    if (Plain(mark, tag, anchor)) {
      const ValueKind kind = tag == "?" ? KindOfBareWord(text) : ValueKind::kString;
      Add(Value{.at = ToPosition(mark), .kind = kind, .text = text});
    }
  }

  void OnSequenceStart(const YAML::Mark& mark,
                       const std::string& tag,
                       YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    Open(mark, tag, anchor, ValueKind::kList);
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark,
                  const std::string& tag,
                  YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    Open(mark, tag, anchor, ValueKind::kObject);
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Level {
    Value value;
    /// The key whose value comes next; objects only.
    std::optional<Entry> key;
  };

  void Fail(const YAML::Mark& mark, std::string message) {
    if (!error_) {
      error_ = SyntaxError{ToPosition(mark), std::move(message)};
    }
  }

  /// Whether a node is plain; counts it.
  bool Plain(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != 0) {
      Fail(mark, "anchors (&name) are not allowed: write the value out where it is needed");
    } else if (!tag.empty() && tag != "?" && tag != "!") {
      Fail(mark, "tags (!name) are not allowed");
    } else if (++values_ > kMaxYamlValues) {
      Fail(mark, fmt::format("more than {} values", kMaxYamlValues));
    }
    return !error_;
  }

  void Open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, ValueKind kind) {
    if (!Plain(mark, tag, anchor)) {
      return;
    }
    if (open_.size() >= kMaxYamlDepth) {
      Fail(mark, fmt::format("more than {} levels", kMaxYamlDepth));
    } else if (!open_.empty() && open_.back().value.kind == ValueKind::kObject &&
               !open_.back().key) {
      Fail(mark, "a key must be a text");
    } else {
      open_.push_back(Level{Value{.at = ToPosition(mark), .kind = kind}, std::nullopt});
    }
  }

  void Close() {
    if (error_) {
      return;
    }
    Value value = std::move(open_.back().value);
    open_.pop_back();
    Add(std::move(value));
  }

  void Add(Value value) {
    if (open_.empty()) {
      if (value.kind != ValueKind::kNull) {
        documents_.push_back(std::move(value));
      }
      return;
    }
    Level& level = open_.back();
    if (level.value.kind == ValueKind::kList) {
      level.value.items.push_back(std::move(value));
    } else if (level.key) {
      level.key->value = std::move(value);
      level.value.entries.push_back(*std::exchange(level.key, std::nullopt));
    } else {
      // A null key has no text and is reported as an unknown key "".
      level.key = Entry{std::move(value.text), value.at, {}};
    }
  }

  std::vector<Value> documents_;
  std::vector<Level> open_;
  std::size_t values_ = 0;
  std::optional<SyntaxError> error_;
};

/// What often is behind a mistake that the parser describes by its consequence.
std::string_view Hint(std::string_view text, int line) {
  for (int i = 0; i < line && !text.empty(); ++i) {
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  }
  const std::string_view indent =
      text.substr(0, std::min(text.find_first_not_of(" \t"), text.size()));
  return indent.find('\t') == std::string_view::npos ? "" : " (a tab cannot indent: use blanks)";
}

YamlDocuments Refused(SyntaxError error) {
  YamlDocuments read;
  read.error = std::move(error);
  return read;
}

}  // namespace

YamlDocuments ReadYaml(std::string_view text) {
  if (text.size() > kMaxYamlBytes) {
    return Refused(
        {{},
         fmt::format("the file has {} bytes: expected at most {}", text.size(), kMaxYamlBytes)});
  }
  if (const std::size_t bad = hcl::FindInvalidUtf8(text); bad != std::string_view::npos) {
    const std::string_view before = text.substr(0, bad);
    const auto lines = std::count(before.begin(), before.end(), '\n');
    const std::size_t column = bad - (before.rfind('\n') + 1);
    return Refused({{static_cast<int>(lines) + 1, static_cast<int>(column) + 1},
                    "a byte that is not UTF-8 text"});
  }
  TreeBuilder builder;
  std::istringstream stream{std::string(text)};
  try {
    YAML::Parser parser(stream);
    while (!builder.error() && parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    if (!builder.error()) {
      return Refused(
          {ToPosition(error.mark),
           fmt::format(
               "this is not YAML: {}{}", Printable(error.msg), Hint(text, error.mark.line))});
    }
  }
  if (builder.error()) {
    return Refused(*builder.error());
  }
  YamlDocuments read;
  read.documents = builder.TakeDocuments();
  return read;
}

}  // namespace credence
