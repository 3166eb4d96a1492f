#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "agent/config/document.h"

namespace credence::hcl {

/// The two languages that SPIRE's configuration files are written in.
enum class Syntax { kHcl, kJson };

enum class TokenKind {
  kEnd,
  /// `Token::text` says what is wrong; every later token is the same.
  kError,
  /// Letters, digits, '_', '-' and '.'; true and false too.
  kIdentifier,
  /// Also a heredoc.
  kString,
  kNumber,
  kAssign,
  kColon,
  kComma,
  kLeftBrace,
  kRightBrace,
  kLeftBracket,
  kRightBracket,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  Position at;
  /// Content of an identifier, string (without quotes and escapes), number (as written) or error.
  std::string text;
};

/// Splits a configuration text into tokens. `text` must be valid UTF-8 and outlive the lexer.
class Lexer {
 public:
  Lexer(std::string_view text, Syntax syntax) : text_(text), syntax_(syntax) {}

  Token Next();

 private:
  char Peek(std::size_t ahead = 0) const;
  bool StartsWith(std::string_view prefix) const;
  void Advance(std::size_t bytes = 1);
  std::string_view TakeWhile(bool (*wanted)(char));

  /// Skips blanks and comments; false after a mistake.
  bool SkipBlanks();
  bool SkipComment();

  Token Punctuation(TokenKind kind);
  Token Word();
  Token Number();
  Token String();
  Token Heredoc();
  /// The part of a string from a backslash on, appended to `content`; false after a mistake.
  bool Escape(std::string& content);
  bool UnicodeEscape(std::string& content, std::size_t digits);
  /// A "${...}" kept as it is, quotes and all.
  bool Interpolation(std::string& content);

  Token Fail(Position at, std::string message);

  std::string_view text_;
  Syntax syntax_;
  std::size_t offset_ = 0;
  Position at_{1, 1};
  /// Set by the first mistake.
  Token error_;
};

}  // namespace credence::hcl
