#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/core/result.h"

namespace credence {

/// Certificate and token times: UTC, no leap seconds.
using WallTime = std::chrono::system_clock::time_point;
/// Waiting and deadlines: never jumps.
using SteadyTime = std::chrono::steady_clock::time_point;

/// The only source of time outside base/core, so that tests own it.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime Now() const = 0;
  virtual SteadyTime SteadyNow() const = 0;
};

/// The machine's clocks.
class SystemClock final : public Clock {
 public:
  WallTime Now() const override;
  SteadyTime SteadyNow() const override;
};

/// A clock that moves only when told to; both times move together.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(WallTime start) : wall_(start) {}
  WallTime Now() const override { return wall_; }
  SteadyTime SteadyNow() const override { return steady_; }
  void Advance(std::chrono::nanoseconds by);

 private:
  WallTime wall_;
  SteadyTime steady_{};
};

/// Seconds since the Unix epoch, rounded down.
std::int64_t ToUnixSeconds(WallTime time);
/// Times before 1684 and after 2255 become those years, so that a certificate "for ever" neither
/// overflows here nor when a few years are added.
WallTime FromUnixSeconds(std::int64_t seconds);

/// RFC 3339 in UTC with whole seconds: "2026-11-22T02:30:00Z".
std::string FormatRfc3339(WallTime time);
/// RFC 3339 in UTC with milliseconds: "2026-11-22T02:30:00.123Z". For logs.
std::string FormatRfc3339Millis(WallTime time);
/// Reads RFC 3339 in UTC ("...Z") or a bare date "2027-03-01", which means that day's midnight UTC.
/// Errors: kInvalidArgument.
Result<WallTime> ParseTime(std::string_view text);

/// Reads "250ms", "30s", "10m", "1.5h", "1h30m" (Go's duration text in milliseconds). Never
/// negative, at most ten years. Errors: kInvalidArgument.
Result<std::chrono::milliseconds> ParseDuration(std::string_view text);
/// The shortest such text: "1h30m", "250ms", "0s".
std::string FormatDuration(std::chrono::milliseconds duration);

}  // namespace credence
