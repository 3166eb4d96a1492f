#pragma once

#include <chrono>
#include <optional>

#include "base/core/clock.h"

namespace credence {

/// When an SVID that is valid from `not_before` to `not_after` is renewed: at half of its lifetime,
/// moved by up to a twentieth of it either way by `jitter` in [-1, 1], which is drawn once per SVID
/// so that looking often does not renew early. With `availability_target`, when that much life
/// remains, if the lifetime exceeds it by more than 12 hours. Source: SPIRE agent rotation rules.
WallTime RenewalTime(WallTime not_before,
                     WallTime not_after,
                     double jitter,
                     std::optional<std::chrono::milliseconds> availability_target = std::nullopt);

/// `renewal` of an SVID that comes at `now`, but not before a quarter of the life that is left, and
/// a second, have passed. An SVID may be past half of its life when it comes (a clock that is
/// ahead, an authority near its end); asking again at once would bring the same, without end.
WallTime SpacedRenewal(WallTime renewal, WallTime now, WallTime not_after);

/// Evenly drawn from [-1, 1].
double DrawJitter();

}  // namespace credence
