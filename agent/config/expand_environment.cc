#include "agent/config/expand_environment.h"

#include <stdlib.h>

#include <algorithm>

#include "agent/config/hcl/parser.h"

namespace credence {
namespace {

bool IsNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// A name by itself, whatever follows. Source: isShellSpecialVar of Go's os.Expand.
bool IsSpecialName(char c) {
  return (c >= '0' && c <= '9') || std::string_view("$*#@!?-").find(c) != std::string_view::npos;
}

/// Bytes of the name that `text` starts with.
std::size_t NameBytes(std::string_view text, bool braced) {
  if (!text.empty() && IsSpecialName(text.front()) &&
      (!braced || text.substr(1).starts_with('}'))) {
    return 1;
  }
  const auto end = std::find_if_not(text.begin(), text.end(), IsNameByte);
  return static_cast<std::size_t>(end - text.begin());
}

Position PositionOf(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const auto lines = std::count(before.begin(), before.end(), '\n');
  const std::size_t line_start = before.rfind('\n') + 1;
  return {static_cast<int>(lines) + 1, static_cast<int>(offset - line_start) + 1};
}

}  // namespace

std::string LookUpEnvironment(std::string_view name) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing here sets variables.
  const char* value = getenv(std::string(name).c_str());
  return value == nullptr ? "" : value;
}

ExpandedText ExpandEnvironment(std::string_view text, const EnvironmentLookup& lookup) {
  ExpandedText out;
  std::size_t at = 0;
  while (at < text.size() && out.text.size() <= hcl::kMaxBytes) {
    const std::size_t dollar = std::min(text.find('$', at), text.size());
    out.text += text.substr(at, dollar - at);
    if (dollar == text.size()) {
      return out;
    }
    const bool braced = text.substr(dollar + 1).starts_with('{');
    const std::size_t start = dollar + (braced ? 2 : 1);
    const std::size_t end = start + NameBytes(text.substr(start), braced);
    if (braced && (end == start || end == text.size() || text[end] != '}')) {
      out.error =
          SyntaxError{PositionOf(text, dollar), "expected a variable's name and } after ${"};
      return out;
    }
    if (end == start) {
      out.text += '$';
    } else {
      const std::string_view name = text.substr(start, end - start);
      out.text += name == "$" ? "$" : lookup(name);
    }
    at = braced ? end + 1 : end;
  }
  if (out.text.size() > hcl::kMaxBytes) {
    out.error = SyntaxError{{}, "the file is longer than 1 MiB once the environment is put in"};
  }
  return out;
}

}  // namespace credence
