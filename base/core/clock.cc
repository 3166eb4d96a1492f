#include "base/core/clock.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

#include <fmt/format.h>

namespace credence {
namespace {

// WallTime counts nanoseconds in 64 bits and ends in the year 2262; certificates may name the year
// 9999.
constexpr std::int64_t kMaxUnixSeconds = 9'000'000'000;
constexpr std::int64_t kMaxDurationMs = std::int64_t{10} * 366 * 24 * 3600 * 1000;

/// Reads exactly `count` digits at `at`; nullopt if there are not that many.
std::optional<int> Digits(std::string_view text, std::size_t at, std::size_t count) {
  if (at + count > text.size()) {
    return std::nullopt;
  }
  int value = 0;
  for (std::size_t i = at; i < at + count; ++i) {
    if (text[i] < '0' || text[i] > '9') {
      return std::nullopt;
    }
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

struct Fields {
  std::chrono::year_month_day day{};
  std::chrono::hh_mm_ss<std::chrono::milliseconds> time;
};

Fields Split(WallTime time) {
  const auto millis = std::chrono::floor<std::chrono::milliseconds>(time);
  const auto day = std::chrono::floor<std::chrono::days>(millis);
  return Fields{std::chrono::year_month_day(day),
                std::chrono::hh_mm_ss<std::chrono::milliseconds>(millis - day)};
}

std::string Format(const Fields& fields, bool with_millis) {
  std::string text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
                                 static_cast<int>(fields.day.year()),
                                 static_cast<unsigned>(fields.day.month()),
                                 static_cast<unsigned>(fields.day.day()),
                                 fields.time.hours().count(),
                                 fields.time.minutes().count(),
                                 fields.time.seconds().count());
  if (with_millis) {
    text += fmt::format(".{:03}", fields.time.subseconds().count());
  }
  return text + "Z";
}

/// `whole` and `part` of `parts` equal ones: "1.25" is 1 and 25 of 100. Nothing is negative.
struct DecimalNumber {
  std::int64_t whole = 0;
  std::int64_t part = 0;
  std::int64_t parts = 1;
};

/// Takes "30" or "1.5" from the front of `text`; nullopt where there is none.
std::optional<DecimalNumber> TakeNumber(std::string_view& text) {
  constexpr std::ptrdiff_t kMostDecimals = 9;
  const auto take = [&text](std::int64_t& number) {
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
    const std::ptrdiff_t digits = end - text.data();
    const bool good = code == std::errc{} && text.front() != '-';
    text.remove_prefix(static_cast<std::size_t>(digits));
    return good ? digits : 0;
  };
  DecimalNumber number;
  if (take(number.whole) == 0) {
    return std::nullopt;
  }
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    const std::ptrdiff_t decimals = take(number.part);
    if (decimals == 0 || decimals > kMostDecimals) {
      return std::nullopt;
    }
    for (std::ptrdiff_t i = 0; i < decimals; ++i) {
      number.parts *= 10;
    }
  }
  return number;
}

std::optional<std::chrono::milliseconds> Unit(std::string_view unit) {
  using std::chrono::milliseconds;
  if (unit == "ms") {
    return milliseconds(1);
  }
  if (unit == "s") {
    return std::chrono::seconds(1);
  }
  if (unit == "m") {
    return std::chrono::minutes(1);
  }
  if (unit == "h") {
    return std::chrono::hours(1);
  }
  return std::nullopt;
}

}  // namespace

WallTime SystemClock::Now() const {
  return std::chrono::system_clock::now();
}
SteadyTime SystemClock::SteadyNow() const {
  return std::chrono::steady_clock::now();
}

void FakeClock::Advance(std::chrono::nanoseconds by) {
  wall_ += std::chrono::duration_cast<WallTime::duration>(by);
  steady_ += std::chrono::duration_cast<SteadyTime::duration>(by);
}

std::int64_t ToUnixSeconds(WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

WallTime FromUnixSeconds(std::int64_t seconds) {
  return WallTime(std::chrono::seconds(std::clamp(seconds, -kMaxUnixSeconds, kMaxUnixSeconds)));
}

std::string FormatRfc3339(WallTime time) {
  return Format(Split(time), false);
}

std::string FormatRfc3339Millis(WallTime time) {
  return Format(Split(time), true);
}

Result<WallTime> ParseTime(std::string_view text) {
  const Error error(
      Code::kInvalidArgument,
      fmt::format("\"{}\" is not a time: expected 2027-03-01 or 2027-03-01T12:00:00Z", text));
  const auto year = Digits(text, 0, 4);
  const auto month = Digits(text, 5, 2);
  const auto day = Digits(text, 8, 2);
  if (!year || !month || !day || text[4] != '-' || text[7] != '-') {
    return error;
  }
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok()) {
    return error;
  }
  const std::int64_t midnight =
      std::chrono::sys_seconds(std::chrono::sys_days(date)).time_since_epoch().count();
  if (text.size() == 10) {
    return FromUnixSeconds(midnight);
  }
  const auto hour = Digits(text, 11, 2);
  const auto minute = Digits(text, 14, 2);
  const auto second = Digits(text, 17, 2);
  const bool shape =
      text.size() == 20 && text[10] == 'T' && text[13] == ':' && text[16] == ':' && text[19] == 'Z';
  if (!shape || !hour || !minute || !second || *hour > 23 || *minute > 59 || *second > 59) {
    return error;
  }
  return FromUnixSeconds(midnight + std::int64_t{*hour} * 3600 + std::int64_t{*minute} * 60 +
                         *second);
}

Result<std::chrono::milliseconds> ParseDuration(std::string_view text) {
  const Error error(
      Code::kInvalidArgument,
      fmt::format("\"{}\" is not a duration: expected a text such as 250ms, 30s, 10m or 1h30m",
                  text));
  std::int64_t total = 0;
  std::string_view rest = text;
  if (rest.empty()) {
    return error;
  }
  while (!rest.empty()) {
    const auto number = TakeNumber(rest);
    const std::size_t unit_size = std::min(rest.find_first_of("0123456789"), rest.size());
    const auto unit = Unit(rest.substr(0, unit_size));
    if (!number || !unit || number->whole > kMaxDurationMs / unit->count() ||
        number->part * unit->count() % number->parts != 0) {
      return error;
    }
    total += number->whole * unit->count() + number->part * unit->count() / number->parts;
    rest.remove_prefix(unit_size);
    if (total > kMaxDurationMs) {
      return error;
    }
  }
  return std::chrono::milliseconds(total);
}

std::string FormatDuration(std::chrono::milliseconds duration) {
  std::int64_t left = duration.count();
  if (left <= 0) {
    return "0s";
  }
  std::string text;
  const auto take = [&](std::int64_t size, std::string_view unit) {
    if (left >= size) {
      text += fmt::format("{}{}", left / size, unit);
      left %= size;
    }
  };
  take(3'600'000, "h");
  take(60'000, "m");
  take(1'000, "s");
  take(1, "ms");
  return text;
}

}  // namespace credence
