#pragma once

#include <chrono>

#include "base/core/task.h"

namespace credence {

/// Waits for `duration` of wall-clock time, as schedules of certificates and tokens mean it: time
/// that the machine is suspended counts, and the wait ends early when somebody sets the clock, so
/// that the caller looks again. Costs no wake-up in between. Source: timerfd_create(2),
/// TFD_TIMER_CANCEL_ON_SET. Without a descriptor to spare it ends after 30 s at the latest.
Task<void> SleepOnWallClock(std::chrono::nanoseconds duration);

}  // namespace credence
