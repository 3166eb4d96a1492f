#pragma once

#include <chrono>

#include "base/core/task.h"
#include "base/core/unique_fd.h"

namespace credence {

/// The longest wait of who has no descriptor to spare for a WallTimer: nothing tells of a change.
inline constexpr std::chrono::seconds kLongestBlindWait{30};

/// A descriptor that becomes readable after `duration` of wall-clock time, in which time that the
/// machine is suspended counts, and as soon as somebody sets the clock; invalid if there is none to
/// spare. Source: timerfd_create(2), TFD_TIMER_CANCEL_ON_SET.
UniqueFd WallTimer(std::chrono::nanoseconds duration);

/// Waits for `duration` of wall-clock time, as schedules of certificates and tokens mean it: time
/// that the machine is suspended counts, and the wait ends early when somebody sets the clock, so
/// that the caller looks again. Costs no wake-up in between. Without a descriptor to spare it ends
/// after kLongestBlindWait at the latest.
Task<void> SleepOnWallClock(std::chrono::nanoseconds duration);

}  // namespace credence
