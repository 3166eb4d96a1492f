#include <algorithm>
#include <cctype>
#include <cstddef>

#include "agent/config/decoder.h"

namespace credence {
namespace {

constexpr std::size_t kMaxQuotedBytes = 60;
/// Longer words are no typing mistakes of each other, and the comparison is quadratic.
constexpr std::size_t kMaxComparedBytes = 64;

char Lower(char c) {
  return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

/// Insertions, removals, replacements and swaps of neighbours that turn `a` into `b`; case does not
/// count.
std::size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> current(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) {
    last[j] = j;
  }
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t differs = Lower(a[i - 1]) == Lower(b[j - 1]) ? 0 : 1;
      current[j] = std::min({last[j] + 1, current[j - 1] + 1, last[j - 1] + differs});
      if (i > 1 && j > 1 && Lower(a[i - 1]) == Lower(b[j - 2]) &&
          Lower(a[i - 2]) == Lower(b[j - 1])) {
        current[j] = std::min(current[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, current);
  }
  return last[b.size()];
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string printable;
  for (const char c : text.substr(0, kMaxQuotedBytes)) {
    printable += c >= ' ' && c <= '~' && c != '"' ? c : '?';
  }
  return printable + (text.size() > kMaxQuotedBytes ? "..." : "");
}

std::string Quoted(std::string_view text) {
  return "\"" + Printable(text) + "\"";
}

std::string DescribeFound(const Value& value) {
  switch (value.kind) {
    case ValueKind::kNull:
      return "nothing";
    case ValueKind::kBool:
    case ValueKind::kNumber:
      return Printable(value.text);
    case ValueKind::kString:
      return Quoted(value.text);
    case ValueKind::kList:
      return "a list";
    case ValueKind::kObject:
      return "a block";
  }
  return "something else";
}

std::string DidYouMean(std::string_view word, const std::vector<std::string>& candidates) {
  if (word.size() > kMaxComparedBytes) {
    return "";
  }
  const std::string* nearest = nullptr;
  std::size_t least = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kMaxComparedBytes) {
      continue;
    }
    // A word cut short is near too.
    const bool cut = word.size() >= 4 && candidate.starts_with(word);
    const std::size_t distance = cut ? 1 : EditDistance(word, candidate);
    if (distance < least) {
      least = distance;
      nearest = &candidate;
    }
  }
  return nearest == nullptr ? "" : "; did you mean " + Quoted(*nearest) + "?";
}

std::string Alternatives(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) {
      text += i + 1 == words.size() ? " or " : ", ";
    }
    text += words[i];
  }
  return text;
}

}  // namespace credence
