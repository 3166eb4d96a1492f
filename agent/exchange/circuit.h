#pragma once

#include <chrono>
#include <cstddef>

#include "base/core/clock.h"

namespace credence {

/// Stops calls to a destination that fails again and again, and lets one through from time to time
/// to see whether it is back. Pure.
class Circuit {
 public:
  struct Options {
    /// Failures in a row that open it.
    std::size_t threshold = 5;
    /// First wait before a trial; doubles after each failed one up to `max_wait`.
    std::chrono::milliseconds wait{5'000};
    std::chrono::milliseconds max_wait{60'000};
  };

  explicit Circuit(Options options) : options_(options), wait_(options.wait) {}

  /// Whether a call may go out at `now`. A yes while the circuit is open makes that call the trial:
  /// it must end in Succeeded, Failed or Undecided.
  bool Allow(SteadyTime now);
  void Succeeded();
  void Failed(SteadyTime now);
  /// The call ended without saying anything about the destination.
  void Undecided() { trial_ = false; }

  bool open() const { return failures_ >= options_.threshold; }
  /// When the next trial may start, while open.
  SteadyTime next_trial() const { return next_trial_; }

 private:
  Options options_;
  std::size_t failures_ = 0;
  std::chrono::milliseconds wait_;
  SteadyTime next_trial_{};
  bool trial_ = false;
};

}  // namespace credence
