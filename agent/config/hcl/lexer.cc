#include "agent/config/hcl/lexer.h"

#include <cstdint>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace credence::hcl {
namespace {

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

bool IsHexDigit(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/// Bytes above ASCII are letters: the text is known to be UTF-8.
bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

bool IsWordByte(char c) {
  return IsLetter(c) || IsDigit(c) || c == '-' || c == '.';
}

std::uint32_t HexValue(char c) {
  if (IsDigit(c)) {
    return static_cast<std::uint32_t>(c - '0');
  }
  return static_cast<std::uint32_t>((c | 0x20) - 'a') + 10;
}

void AppendUtf8(std::string& out, std::uint32_t point) {
  const auto append = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    append(point);
  } else if (point < 0x800) {
    append(0xC0U | (point >> 6U));
    append(0x80U | (point & 0x3FU));
  } else if (point < 0x10000) {
    append(0xE0U | (point >> 12U));
    append(0x80U | ((point >> 6U) & 0x3FU));
    append(0x80U | (point & 0x3FU));
  } else {
    append(0xF0U | (point >> 18U));
    append(0x80U | ((point >> 12U) & 0x3FU));
    append(0x80U | ((point >> 6U) & 0x3FU));
    append(0x80U | (point & 0x3FU));
  }
}

bool IsSurrogate(std::uint32_t point) {
  return point >= 0xD800 && point <= 0xDFFF;
}

std::string_view TrimLeft(std::string_view line) {
  const std::size_t start = line.find_first_not_of(" \t");
  return start == std::string_view::npos ? std::string_view{} : line.substr(start);
}

/// Removes `indent` from the start of every line if all of them have it; otherwise leaves them
/// alone.
std::string JoinHeredoc(const std::vector<std::string_view>& lines, std::string_view indent) {
  bool indented = true;
  for (const std::string_view line : lines) {
    indented = indented && line.starts_with(indent);
  }
  std::string content;
  for (const std::string_view line : lines) {
    content += indented ? line.substr(indent.size()) : line;
    content += '\n';
  }
  return content;
}

}  // namespace

char Lexer::Peek(std::size_t ahead) const {
  return offset_ + ahead < text_.size() ? text_[offset_ + ahead] : '\0';
}

bool Lexer::StartsWith(std::string_view prefix) const {
  return text_.substr(offset_).starts_with(prefix);
}

void Lexer::Advance(std::size_t bytes) {
  for (std::size_t i = 0; i < bytes && offset_ < text_.size(); ++i, ++offset_) {
    const char c = text_[offset_];
    const bool continues = (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
    if (c == '\n') {
      ++at_.line;
      at_.column = 1;
    } else if (!continues) {
      ++at_.column;
    }
  }
}

std::string_view Lexer::TakeWhile(bool (*wanted)(char)) {
  const std::size_t start = offset_;
  while (offset_ < text_.size() && wanted(text_[offset_])) {
    Advance();
  }
  return text_.substr(start, offset_ - start);
}

Token Lexer::Fail(Position at, std::string message) {
  if (error_.kind != TokenKind::kError) {
    error_ = Token{TokenKind::kError, at, std::move(message)};
  }
  return error_;
}

bool Lexer::SkipComment() {
  if (StartsWith("/*")) {
    const Position start = at_;
    const std::size_t end = text_.find("*/", offset_ + 2);
    if (end == std::string_view::npos) {
      Fail(start, "this comment is not closed: expected */");
      return false;
    }
    Advance(end + 2 - offset_);
    return true;
  }
  const std::size_t end = text_.find('\n', offset_);
  Advance(end == std::string_view::npos ? text_.size() - offset_ : end - offset_);
  return true;
}

bool Lexer::SkipBlanks() {
  while (offset_ < text_.size()) {
    const char c = Peek();
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      Advance();
    } else if (c == '#' || StartsWith("//") || StartsWith("/*")) {
      if (syntax_ == Syntax::kJson) {
        Fail(at_, "a JSON file has no comments");
        return false;
      }
      if (!SkipComment()) {
        return false;
      }
    } else {
      return true;
    }
  }
  return true;
}

Token Lexer::Next() {
  if (error_.kind == TokenKind::kError || !SkipBlanks()) {
    return error_;
  }
  if (offset_ >= text_.size()) {
    return Token{TokenKind::kEnd, at_, ""};
  }
  const char c = Peek();
  switch (c) {
    case '{':
      return Punctuation(TokenKind::kLeftBrace);
    case '}':
      return Punctuation(TokenKind::kRightBrace);
    case '[':
      return Punctuation(TokenKind::kLeftBracket);
    case ']':
      return Punctuation(TokenKind::kRightBracket);
    case '=':
      return Punctuation(TokenKind::kAssign);
    case ':':
      return Punctuation(TokenKind::kColon);
    case ',':
      return Punctuation(TokenKind::kComma);
    case '"':
      return String();
    default:
      break;
  }
  if (IsDigit(c) || (c == '-' && IsDigit(Peek(1)))) {
    return Number();
  }
  if (IsLetter(c)) {
    return Word();
  }
  if (StartsWith("<<") && syntax_ == Syntax::kHcl) {
    return Heredoc();
  }
  if (c == '\'') {
    return Fail(at_, "a text needs double quotes");
  }
  if (c < ' ' || c > '~') {
    return Fail(at_, "a control character cannot stand here");
  }
  return Fail(at_, fmt::format("'{}' cannot stand here", c));
}

Token Lexer::Punctuation(TokenKind kind) {
  Token token{kind, at_, ""};
  Advance();
  return token;
}

Token Lexer::Word() {
  const Position start = at_;
  return Token{TokenKind::kIdentifier, start, std::string(TakeWhile(IsWordByte))};
}

Token Lexer::Number() {
  const Position start = at_;
  const std::size_t first = offset_;
  if (Peek() == '-') {
    Advance();
  }
  const bool zero_first = Peek() == '0';
  if (zero_first && (Peek(1) == 'x' || Peek(1) == 'X') && syntax_ == Syntax::kHcl) {
    Advance(2);
    if (TakeWhile(IsHexDigit).empty()) {
      return Fail(start, "a hexadecimal number needs digits after 0x");
    }
  } else {
    const std::string_view whole = TakeWhile(IsDigit);
    if (zero_first && whole.size() > 1 && syntax_ == Syntax::kJson) {
      return Fail(start, "a JSON number has no leading zero");
    }
    if (Peek() == '.') {
      Advance();
      if (TakeWhile(IsDigit).empty()) {
        return Fail(start, "a number needs digits after its point");
      }
    }
    if (Peek() == 'e' || Peek() == 'E') {
      Advance();
      if (Peek() == '+' || Peek() == '-') {
        Advance();
      }
      if (TakeWhile(IsDigit).empty()) {
        return Fail(start, "a number needs digits after its exponent sign");
      }
    }
  }
  if (IsWordByte(Peek())) {
    return Fail(at_,
                "a number ends here: put a text such as \"24h\" or \"10.0.0.1\" in double quotes");
  }
  return Token{TokenKind::kNumber, start, std::string(text_.substr(first, offset_ - first))};
}

Token Lexer::String() {
  const Position start = at_;
  std::string content;
  Advance();
  while (offset_ < text_.size() && Peek() != '\n') {
    const char c = Peek();
    if (c == '"') {
      Advance();
      return Token{TokenKind::kString, start, std::move(content)};
    }
    if (c == '\\') {
      if (!Escape(content)) {
        return error_;
      }
    } else if (syntax_ == Syntax::kHcl && StartsWith("${")) {
      if (!Interpolation(content)) {
        return error_;
      }
    } else if (syntax_ == Syntax::kJson && static_cast<unsigned char>(c) < ' ') {
      return Fail(at_, "a JSON text holds no control characters: expected an escape such as \\t");
    } else {
      content.push_back(c);
      Advance();
    }
  }
  return Fail(start, "this text is not closed: expected \" on the same line");
}

bool Lexer::Interpolation(std::string& content) {
  const Position start = at_;
  int open = 0;
  while (offset_ < text_.size() && Peek() != '\n') {
    const char c = Peek();
    content.push_back(c);
    Advance();
    open += c == '{' ? 1 : 0;
    open -= c == '}' ? 1 : 0;
    if (c == '}' && open == 0) {
      return true;
    }
  }
  Fail(start, "this ${ is not closed: expected } on the same line");
  return false;
}

bool Lexer::Escape(std::string& content) {
  static constexpr std::string_view kNames = "\"\\ntrbf";
  static constexpr std::string_view kBytes = "\"\\\n\t\r\b\f";
  const Position start = at_;
  const char name = Peek(1);
  if (const std::size_t index = kNames.find(name); name != '\0' && index < kNames.size()) {
    content.push_back(kBytes[index]);
    Advance(2);
    return true;
  }
  if (name == 'u') {
    return UnicodeEscape(content, 4);
  }
  if (name == 'U' && syntax_ == Syntax::kHcl) {
    return UnicodeEscape(content, 8);
  }
  if (name == '/' && syntax_ == Syntax::kJson) {
    content.push_back('/');
    Advance(2);
    return true;
  }
  Fail(start,
       "unknown escape: expected \\n, \\t, \\r, \\b, \\f, \\\", \\\\ or \\u with four hexadecimal "
       "digits");
  return false;
}

bool Lexer::UnicodeEscape(std::string& content, std::size_t digits) {
  const Position start = at_;
  const auto read = [&](std::size_t from) {
    std::uint32_t point = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      if (!IsHexDigit(Peek(from + i))) {
        return std::uint32_t{0x110000};
      }
      point = (point << 4U) | HexValue(Peek(from + i));
    }
    return point;
  };
  std::uint32_t point = read(2);
  std::size_t length = digits + 2;
  // JSON writes a character above U+FFFF as two surrogates.
  if (syntax_ == Syntax::kJson && point >= 0xD800 && point <= 0xDBFF && Peek(6) == '\\' &&
      Peek(7) == 'u') {
    const std::uint32_t low = read(8);
    if (low >= 0xDC00 && low <= 0xDFFF) {
      point = 0x10000 + ((point - 0xD800) << 10U) + (low - 0xDC00);
      length = 12;
    }
  }
  if (point > 0x10FFFF || IsSurrogate(point) || point == 0) {
    Fail(start, fmt::format("expected {} hexadecimal digits of a Unicode character", digits));
    return false;
  }
  AppendUtf8(content, point);
  Advance(length);
  return true;
}

Token Lexer::Heredoc() {
  const Position start = at_;
  Advance(2);
  const bool indented = Peek() == '-';
  if (indented) {
    Advance();
  }
  const std::string_view marker = TakeWhile(IsWordByte);
  if (Peek() == '\r') {
    Advance();
  }
  if (marker.empty() || Peek() != '\n') {
    return Fail(start, "expected << and a word such as EOT, alone at the end of the line");
  }
  Advance();
  std::vector<std::string_view> lines;
  while (offset_ < text_.size()) {
    const std::size_t end = std::min(text_.find('\n', offset_), text_.size());
    std::string_view line = text_.substr(offset_, end - offset_);
    Advance(line.size());
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    if (TrimLeft(line) == marker) {
      const std::string_view indent = line.substr(0, line.size() - marker.size());
      return Token{TokenKind::kString, start, JoinHeredoc(lines, indented ? indent : "")};
    }
    lines.push_back(line);
    Advance();
  }
  return Fail(start, "this << text is not closed: expected its word alone on a line");
}

}  // namespace credence::hcl
