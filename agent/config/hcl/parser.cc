#include "agent/config/hcl/parser.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "agent/config/hcl/lexer.h"
#include "agent/config/hcl/utf8.h"

namespace credence::hcl {
namespace {

std::string_view Describe(TokenKind kind) {
  switch (kind) {
    case TokenKind::kEnd:
      return "the end of the file";
    case TokenKind::kError:
      return "a mistake";
    case TokenKind::kIdentifier:
      return "a word";
    case TokenKind::kString:
      return "a text";
    case TokenKind::kNumber:
      return "a number";
    case TokenKind::kAssign:
      return "\"=\"";
    case TokenKind::kColon:
      return "\":\"";
    case TokenKind::kComma:
      return "\",\"";
    case TokenKind::kLeftBrace:
      return "\"{\"";
    case TokenKind::kRightBrace:
      return "\"}\"";
    case TokenKind::kLeftBracket:
      return "\"[\"";
    case TokenKind::kRightBracket:
      return "\"]\"";
  }
  return "something else";
}

/// Recursive descent with one token of look-ahead. After the first mistake every method returns at
/// once.
class Parser {
 public:
  Parser(std::string_view text, Syntax syntax) : lexer_(text, syntax), syntax_(syntax) { Step(); }

  Document Run() {
    Document document;
    document.root.at = token_.at;
    document.root.kind = ValueKind::kObject;
    if (syntax_ == Syntax::kJson) {
      document.root = JsonObject(1);
      Expect(TokenKind::kEnd, "after the object");
    } else {
      document.root.entries = HclBody(TokenKind::kEnd, 1, {1, 1});
    }
    document.error = std::move(error_);
    return document;
  }

 private:
  bool Failed() const { return error_.has_value(); }

  void Fail(Position at, std::string message) {
    if (!error_) {
      error_ = SyntaxError{at, std::move(message)};
    }
  }

  Token Step() {
    Token taken = std::exchange(token_, lexer_.Next());
    if (token_.kind == TokenKind::kError) {
      Fail(token_.at, token_.text);
    }
    return taken;
  }

  void Expect(TokenKind kind, std::string_view where) {
    if (!Failed() && token_.kind != kind) {
      Fail(token_.at,
           fmt::format("expected {} {}, found {}", Describe(kind), where, Describe(token_.kind)));
    }
  }

  bool TooMuch(int depth) {
    if (values_ > kMaxValues) {
      Fail(token_.at, fmt::format("more than {} settings", kMaxValues));
    }
    if (depth > kMaxDepth) {
      Fail(token_.at, fmt::format("more than {} levels of blocks and lists", kMaxDepth));
    }
    return Failed();
  }

  std::vector<Entry> HclBody(TokenKind end, int depth, Position opened) {
    std::vector<Entry> entries;
    while (!TooMuch(depth) && token_.kind != end) {
      if (token_.kind == TokenKind::kEnd) {
        Fail(token_.at,
             fmt::format(
                 "expected \"}}\" for the block opened at {}:{}", opened.line, opened.column));
      } else if (token_.kind == TokenKind::kIdentifier || token_.kind == TokenKind::kString) {
        entries.push_back(HclEntry(depth));
        if (token_.kind == TokenKind::kComma) {
          Step();
        }
      } else {
        Fail(token_.at, fmt::format("expected a key, found {}", Describe(token_.kind)));
      }
    }
    return entries;
  }

  Entry HclEntry(int depth) {
    std::vector<Token> keys;
    while (!TooMuch(depth + static_cast<int>(keys.size())) &&
           (token_.kind == TokenKind::kIdentifier || token_.kind == TokenKind::kString)) {
      keys.push_back(Step());
      ++values_;
    }
    if (Failed()) {
      return {};
    }
    Value value;
    if (token_.kind == TokenKind::kAssign && keys.size() == 1) {
      Step();
      value = HclValue(depth + 1);
    } else if (token_.kind == TokenKind::kLeftBrace) {
      value = HclObject(depth + static_cast<int>(keys.size()));
    } else if (keys.size() == 1) {
      Fail(token_.at,
           fmt::format("expected \"=\" or \"{{\" after the key, found {}", Describe(token_.kind)));
    } else {
      Fail(token_.at,
           fmt::format("expected \"{{\" after a key and its labels, found {}",
                       Describe(token_.kind)));
    }
    while (keys.size() > 1) {
      Value outer;
      outer.at = keys.back().at;
      outer.kind = ValueKind::kObject;
      outer.entries.push_back(Entry{std::move(keys.back().text), outer.at, std::move(value)});
      value = std::move(outer);
      keys.pop_back();
    }
    return Entry{std::move(keys.front().text), keys.front().at, std::move(value)};
  }

  Value HclObject(int depth) {
    Value object;
    object.at = token_.at;
    object.kind = ValueKind::kObject;
    Step();
    object.entries = HclBody(TokenKind::kRightBrace, depth, object.at);
    if (!Failed()) {
      Step();
    }
    return object;
  }

  Value HclValue(int depth) {
    if (token_.kind == TokenKind::kIdentifier && token_.text != "true" && token_.text != "false") {
      Fail(token_.at, "expected a value: a text needs double quotes");
    }
    if (TooMuch(depth)) {
      return {};
    }
    if (token_.kind == TokenKind::kLeftBrace) {
      return HclObject(depth);
    }
    return token_.kind == TokenKind::kLeftBracket ? List(depth) : Scalar();
  }

  Value JsonValue(int depth) {
    const bool word = token_.kind == TokenKind::kIdentifier;
    if (word && token_.text == "null") {
      Fail(token_.at, "null is no value here: leave the key out");
    } else if (word && token_.text != "true" && token_.text != "false") {
      Fail(token_.at, "expected a value: a text needs double quotes");
    }
    if (TooMuch(depth)) {
      return {};
    }
    if (token_.kind == TokenKind::kLeftBrace) {
      return JsonObject(depth);
    }
    return token_.kind == TokenKind::kLeftBracket ? List(depth) : Scalar();
  }

  Value JsonObject(int depth) {
    Value object;
    object.at = token_.at;
    object.kind = ValueKind::kObject;
    Expect(TokenKind::kLeftBrace, "at the start of an object");
    Step();
    bool more =
        !TooMuch(depth) && token_.kind != TokenKind::kRightBrace && token_.kind != TokenKind::kEnd;
    while (more && !Failed()) {
      Expect(TokenKind::kString, "as a key");
      Token key = Step();
      ++values_;
      Expect(TokenKind::kColon, "after the key");
      Step();
      object.entries.push_back(Entry{std::move(key.text), key.at, JsonValue(depth + 1)});
      more = token_.kind == TokenKind::kComma;
      if (more) {
        Step();
      }
    }
    Expect(TokenKind::kRightBrace, "or \",\" in an object");
    Step();
    return object;
  }

  Value List(int depth) {
    Value list;
    list.at = token_.at;
    list.kind = ValueKind::kList;
    Step();
    while (!Failed() && token_.kind != TokenKind::kRightBracket) {
      ++values_;
      list.items.push_back(syntax_ == Syntax::kJson ? JsonValue(depth + 1) : HclValue(depth + 1));
      const bool more = token_.kind == TokenKind::kComma;
      if (!more) {
        Expect(TokenKind::kRightBracket, "or \",\" in a list");
        break;
      }
      Step();
      if (syntax_ == Syntax::kJson && token_.kind == TokenKind::kRightBracket) {
        Fail(token_.at, "a JSON list has no comma at its end");
      }
    }
    Step();
    return list;
  }

  Value Scalar() {
    Value value;
    value.at = token_.at;
    if (token_.kind == TokenKind::kString) {
      value.kind = ValueKind::kString;
    } else if (token_.kind == TokenKind::kNumber) {
      value.kind = ValueKind::kNumber;
    } else if (token_.kind == TokenKind::kIdentifier) {
      value.kind = ValueKind::kBool;
    } else {
      Fail(token_.at, fmt::format("expected a value, found {}", Describe(token_.kind)));
      return value;
    }
    value.text = Step().text;
    return value;
  }

  Lexer lexer_;
  Syntax syntax_;
  Token token_;
  int values_ = 0;
  std::optional<SyntaxError> error_;
};

Document Refused(std::string_view text, std::size_t offset, std::string message) {
  const std::string_view before = text.substr(0, offset);
  const auto lines = std::count(before.begin(), before.end(), '\n');
  const std::size_t line_start = before.rfind('\n') + 1;
  const auto characters = std::count_if(
      before.begin() + static_cast<std::ptrdiff_t>(line_start), before.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
      });
  Document document;
  document.root.kind = ValueKind::kObject;
  document.error = SyntaxError{{static_cast<int>(lines) + 1, static_cast<int>(characters) + 1},
                               std::move(message)};
  return document;
}

}  // namespace

Document Parse(std::string_view text) {
  if (text.size() > kMaxBytes) {
    Document document;
    document.error = SyntaxError{
        {}, fmt::format("the file has {} bytes: expected at most {}", text.size(), kMaxBytes)};
    return document;
  }
  if (const std::size_t bad = FindInvalidUtf8(text); bad != std::string_view::npos) {
    return Refused(text, bad, "a byte that is not UTF-8 text");
  }
  // Some editors start a file with a byte order mark.
  if (text.starts_with("\xEF\xBB\xBF")) {
    text.remove_prefix(3);
  }
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  const bool json = first != std::string_view::npos && text[first] == '{';
  return Parser(text, json ? Syntax::kJson : Syntax::kHcl).Run();
}

}  // namespace credence::hcl
