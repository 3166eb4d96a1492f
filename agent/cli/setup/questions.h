#pragma once

#include <string>
#include <string_view>

#include "base/core/result.h"

namespace credence {

/// Asks the person at the terminal. Questions go to standard error, so that standard output holds
/// results only.
class Questions {
 public:
  /// Answers are lines of the descriptor `input`.
  explicit Questions(int input) : input_(input) {}

  /// What is typed after `question`, without blanks around it. Errors: kCancelled when the input
  /// ends; kOutOfRange for more than 4096 bytes.
  Result<std::string> Ask(std::string_view question) const;
  /// True for y and yes, and for Enter alone. Errors: as Ask.
  Result<bool> Confirm(std::string_view question) const;

  /// Says something between two questions.
  static void Say(std::string_view text);

 private:
  int input_;
};

}  // namespace credence
