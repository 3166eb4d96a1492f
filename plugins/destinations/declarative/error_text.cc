#include "plugins/destinations/declarative/error_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <system_error>

#include <fmt/format.h>

namespace credence {
namespace {

constexpr std::size_t kMaxShown = 256;
/// Longest foreign text looked at.
constexpr std::size_t kMaxRead = 1024;
constexpr std::size_t kTellingBytes = 20;
constexpr std::chrono::seconds kMaxRetryAfter{3600};
constexpr std::array<std::string_view, 12> kMonths = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

std::string Join(std::string_view first, std::string_view second) {
  if (first.empty() || second.empty()) {
    return std::string(first.empty() ? second : first);
  }
  return fmt::format("{}: {}", first, second);
}

std::optional<int> Digits(std::string_view text) {
  int number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, failed] = std::from_chars(text.data(), end, number);
  if (failed != std::errc() || stop != end || number < 0) {
    return std::nullopt;
  }
  return number;
}

/// "Sun, 06 Nov 1994 08:49:37 GMT".
std::optional<WallTime> ParseHttpDate(std::string_view text) {
  if (text.size() != 29 || text.substr(3, 2) != ", " || text.substr(25) != " GMT") {
    return std::nullopt;
  }
  const auto month = std::find(kMonths.begin(), kMonths.end(), text.substr(8, 3));
  if (month == kMonths.end()) {
    return std::nullopt;
  }
  const std::string rfc3339 = fmt::format("{}-{:02}-{}T{}Z",
                                          text.substr(12, 4),
                                          month - kMonths.begin() + 1,
                                          text.substr(5, 2),
                                          text.substr(17, 8));
  const auto time = ParseTime(rfc3339);
  return time.ok() ? std::optional<WallTime>(*time) : std::nullopt;
}

}  // namespace

bool RevealsSecret(std::string_view text, const Secrets& secrets) {
  for (const SharedSecret& secret : secrets) {
    if (secret == nullptr || secret->empty()) {
      continue;
    }
    const std::string_view whole = secret->Reveal();
    const std::size_t telling = std::min(kTellingBytes, whole.size());
    for (std::size_t at = 0; at + telling <= text.size(); ++at) {
      if (whole.find(text.substr(at, telling)) != std::string_view::npos) {
        return true;
      }
    }
  }
  return false;
}

std::string SafeText(std::string_view text, const Secrets& secrets) {
  text = text.substr(0, kMaxRead);
  if (RevealsSecret(text, secrets)) {
    return {};
  }
  std::string safe;
  for (const char c : text.substr(0, kMaxShown)) {
    const bool printable = c >= 0x20 && c <= 0x7e;
    safe += printable
                ? std::string(1, c)
                : fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    if (safe.size() >= kMaxShown) {
      break;
    }
  }
  safe.resize(std::min(safe.size(), kMaxShown));
  return safe;
}

std::string ErrorFields(const JsonAnswer& answer, const Secrets& secrets) {
  std::string text = Join(answer.FindText("/error/type"), answer.FindText("/error/message"));
  if (text.empty()) {
    text = Join(answer.FindText("/error"), answer.FindText("/error_description"));
  }
  if (text.empty()) {
    text = answer.FindText("/errors/0");
  }
  // Checked before anything is cut, so that a secret split by the cut is still seen.
  const WipeOnExit wipe(text);
  return SafeText(text, secrets);
}

std::optional<std::chrono::seconds> ParseRetryAfter(std::string_view text, WallTime now) {
  if (text.empty()) {
    return std::nullopt;
  }
  if (text.find_first_not_of("0123456789") == std::string_view::npos) {
    // A number too large to read is a very long time.
    const auto seconds = Digits(text);
    return std::min(kMaxRetryAfter,
                    seconds.has_value() ? std::chrono::seconds(*seconds) : kMaxRetryAfter);
  }
  const auto date = ParseHttpDate(text);
  if (!date.has_value()) {
    return std::nullopt;
  }
  // Years before 1678 are the least time there is, from which nothing can be taken.
  if (*date <= now) {
    return std::chrono::seconds(0);
  }
  return std::min(std::chrono::ceil<std::chrono::seconds>(*date - now), kMaxRetryAfter);
}

}  // namespace credence
