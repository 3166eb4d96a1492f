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

/// Evenly drawn from [-1, 1].
double DrawJitter();

}  // namespace credence
