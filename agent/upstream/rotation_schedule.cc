#include "agent/upstream/rotation_schedule.h"

#include <algorithm>
#include <chrono>
#include <random>

#include "base/core/backoff.h"

namespace credence {
namespace {

constexpr double kJitter = 0.1;

double RandomDraw() {
  // Jitter of one second around itself, as a number from -1 to 1.
  constexpr std::chrono::milliseconds kUnit{1'000'000};
  return std::chrono::duration<double>(Jitter(kUnit, 1.0) - kUnit) /
         std::chrono::duration<double>(kUnit);
}

}  // namespace

RotationSchedule::RotationSchedule(WallTime not_before, WallTime not_after, double draw)
    : not_after_(not_after) {
  const auto life = std::max(not_after - not_before, WallTime::duration(0));
  const auto remaining = life / 2 * (1 - kJitter * std::clamp(draw, -1.0, 1.0));
  due_ = not_after - std::chrono::duration_cast<WallTime::duration>(remaining);
}

RotationSchedule::RotationSchedule(WallTime not_before, WallTime not_after)
    : RotationSchedule(not_before, not_after, RandomDraw()) {}

std::chrono::nanoseconds RotationSchedule::Spacing(WallTime now) const {
  constexpr std::chrono::nanoseconds kLeast = std::chrono::seconds(1);
  return std::max<std::chrono::nanoseconds>(kLeast, (not_after_ - now) / 4);
}

std::chrono::nanoseconds RotationSchedule::Until(WallTime now) const {
  return std::max(std::chrono::duration_cast<std::chrono::nanoseconds>(due_ - now),
                  std::chrono::nanoseconds(0));
}

}  // namespace credence
