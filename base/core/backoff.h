#pragma once

#include <chrono>
#include <random>

namespace credence {

/// Growing, jittered waits between tries. Not thread-safe.
class Backoff {
 public:
  struct Options {
    std::chrono::milliseconds initial{500};
    std::chrono::milliseconds cap{30'000};
    double factor = 1.5;
    /// Each wait is drawn from [1 - jitter, 1 + jitter] times the planned one.
    double jitter = 0.1;
  };

  explicit Backoff(Options options);

  /// The next wait; each call grows the one after, up to the cap.
  std::chrono::milliseconds Next();
  /// After a success: start again at the initial wait.
  void Reset() { planned_ = options_.initial; }

 private:
  Options options_;
  std::chrono::milliseconds planned_;
  std::minstd_rand random_;
};

/// `duration` times a factor drawn evenly from [1 - part, 1 + part].
std::chrono::milliseconds Jitter(std::chrono::milliseconds duration, double part);

}  // namespace credence
