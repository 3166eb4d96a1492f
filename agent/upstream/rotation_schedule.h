#pragma once

#include "base/core/clock.h"

namespace credence {

/// When a certificate is to be replaced: at half of its life, give or take a tenth of that half, so
/// that agents started together do not renew together. Source: SPIRE's agent renews when at most
/// half of the lifetime remains, jittered by 10 %.
class RotationSchedule {
 public:
  /// `draw` in [-1, 1] places the renewal between 55 % (-1) and 45 % (+1) of the lifetime
  /// remaining.
  RotationSchedule(WallTime not_before, WallTime not_after, double draw);
  /// With a random draw.
  RotationSchedule(WallTime not_before, WallTime not_after);

  WallTime due() const { return due_; }
  bool Due(WallTime now) const { return now >= due_; }
  bool Expired(WallTime now) const { return now >= not_after_; }
  /// Until it is due; zero when it is.
  std::chrono::nanoseconds Until(WallTime now) const;
  /// How long to leave it alone once it has come, though it may be due by then (a clock that is
  /// ahead, an authority near its end): a quarter of the life that is left, and a second at least.
  /// The next one may be no better.
  std::chrono::nanoseconds Spacing(WallTime now) const;

 private:
  WallTime due_;
  WallTime not_after_;
};

}  // namespace credence
