// Seeded faults: each line marked FAULT must be found by the check it names. Never compiled into anything.
#include <string>
#include <utility>

#include "base/core/task.h"

namespace credence {

class Wrong_name {};  // FAULT readability-identifier-naming

struct Implicit {
  Implicit(int value);  // FAULT google-explicit-constructor
};

std::size_t UseAfterMove(std::string text) {
  std::string taken = std::move(text);
  return taken.size() + text.size();  // FAULT bugprone-use-after-move
}

int Braces(bool condition) {
  if (condition) return 1;  // FAULT readability-braces-around-statements
  return 2;
}

inline void CapturingLambda(int value) {
  auto task = [value]() -> Task<int> { co_return value; };  // FAULT cppcoreguidelines-avoid-capturing-lambda-coroutines
  static_cast<void>(task);
}

int Uninitialised() {
  int value;  // FAULT cppcoreguidelines-init-variables
  value = 3;
  return value;
}

}  // namespace credence
