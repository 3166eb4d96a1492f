#pragma once

#include <algorithm>
#include <chrono>

#include "base/core/clock.h"

namespace credence {

/// An absolute end of waiting. It only ever shrinks on the way down a call.
class Deadline {
 public:
  /// `timeout` from now on the machine's steady clock.
  static Deadline After(std::chrono::nanoseconds timeout);
  static Deadline At(SteadyTime time) { return Deadline(time); }

  SteadyTime time() const { return time_; }
  /// What is left, never below zero.
  std::chrono::nanoseconds Remaining() const;
  bool Passed() const { return Remaining().count() == 0; }

  Deadline Earlier(Deadline other) const { return Deadline(std::min(time_, other.time_)); }

 private:
  explicit Deadline(SteadyTime time) : time_(time) {}
  SteadyTime time_;
};

}  // namespace credence
