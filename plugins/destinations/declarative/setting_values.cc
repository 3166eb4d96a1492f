#include "plugins/destinations/declarative/setting_values.h"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <re2/re2.h>

namespace credence {
namespace {

constexpr std::size_t kMaxValueBytes = 1024;
constexpr std::size_t kMaxShownBytes = 64;

bool IsPrintable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

/// A setting is no secret, but it may be long or odd.
std::string Shown(std::string_view text) {
  std::string shown(text.substr(0, kMaxShownBytes));
  std::replace_if(shown.begin(), shown.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return shown + (text.size() > kMaxShownBytes ? "..." : "");
}

/// "a/b-c": segments that are neither empty nor made of dots.
bool IsUrlPath(std::string_view text) {
  while (true) {
    const auto slash = text.find('/');
    const std::string_view segment = text.substr(0, slash);
    const bool plain = std::all_of(segment.begin(), segment.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '-' || c == '_' || c == '.' || c == '~';
    });
    if (!plain || segment.find_first_not_of('.') == std::string_view::npos) {
      return false;
    }
    if (slash == std::string_view::npos) {
      return true;
    }
    text = text.substr(slash + 1);
  }
}

bool IsIntegerWithin(std::string_view text, const SettingSpec& spec) {
  std::int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, failed] = std::from_chars(text.data(), end, number);
  return failed == std::errc() && stop == end && number >= spec.min && number <= spec.max;
}

std::string_view TypeWords(SettingType type) {
  switch (type) {
    case SettingType::kString:
      return "text";
    case SettingType::kUrlPath:
      return "path segments such as jwt or team/jwt";
    case SettingType::kInteger:
      return "a whole number within its bounds";
    case SettingType::kBaseUrl:
      return "an https URL without query (plain http only to loopback)";
    case SettingType::kCaFile:
      return "an absolute path";
  }
  return "text";
}

/// "" or why the value does not fit; fills `checked`.
std::string CheckOne(const SettingSpec& spec, const std::string& value, CheckedValues& checked) {
  NamedValue named;
  named.text = value;
  bool fits = value.size() <= kMaxValueBytes && IsPrintable(value) && !value.empty();
  std::string detail;
  if (fits) {
    switch (spec.type) {
      case SettingType::kString:
        fits = spec.pattern == nullptr || re2::RE2::FullMatch(value, *spec.pattern);
        break;
      case SettingType::kUrlPath:
        named.type = ValueType::kPath;
        fits = IsUrlPath(value);
        break;
      case SettingType::kInteger:
        named.type = ValueType::kInteger;
        fits = IsIntegerWithin(value, spec);
        break;
      case SettingType::kBaseUrl: {
        while (!named.text.empty() && named.text.back() == '/') {
          named.text.pop_back();
        }
        auto url = ParseHttpUrl(named.text);
        fits = url.ok() && url->target.find('?') == std::string::npos;
        if (fits) {
          checked.base_url = *std::move(url);
        } else if (!url.ok()) {
          detail = fmt::format(" ({})", url.error().message());
        }
        break;
      }
      case SettingType::kCaFile:
        fits = value.front() == '/';
        checked.ca_file = value;
        break;
    }
  }
  if (!fits) {
    return fmt::format("expected {}, found \"{}\"{}", ExpectedWords(spec), Shown(value), detail);
  }
  checked.values[spec.name] = std::move(named);
  return {};
}

}  // namespace

std::string_view ExpectedWords(const SettingSpec& spec) {
  return spec.expected.empty() ? TypeWords(spec.type) : std::string_view(spec.expected);
}

Result<CheckedValues> CheckValues(const std::vector<SettingSpec>& specs,
                                  const Settings& given,
                                  std::string_view word) {
  CheckedValues checked;
  std::vector<std::string> mistakes;
  std::vector<std::string_view> known;
  for (const SettingSpec& spec : specs) {
    known.push_back(spec.name);
    const auto value = given.find(spec.name);
    std::string problem;
    if (value != given.end()) {
      problem = CheckOne(spec, value->second, checked);
    } else if (spec.default_value.has_value()) {
      problem = CheckOne(spec, *spec.default_value, checked);
    } else if (spec.required || spec.type == SettingType::kBaseUrl) {
      problem = fmt::format("is missing; expected {}", ExpectedWords(spec));
    }
    if (!problem.empty()) {
      mistakes.push_back(fmt::format("{}: {}", spec.name, problem));
    }
  }
  for (const auto& [name, value] : given) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      mistakes.push_back(
          fmt::format("{}: unknown {}; known: {}", Shown(name), word, fmt::join(known, ", ")));
    }
  }
  if (!mistakes.empty()) {
    return Error(Code::kInvalidArgument, fmt::format("{}", fmt::join(mistakes, "\n")));
  }
  return checked;
}

}  // namespace credence
