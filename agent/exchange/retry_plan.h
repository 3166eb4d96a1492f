#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "base/core/backoff.h"
#include "plugins/contract/destination_adapter.h"

namespace credence {

/// Nobody waits longer than this for a vendor, whatever it asks for.
inline constexpr std::chrono::hours kMaxRetryAfter(24);
/// Lets a vendor or a server breathe whose answers make no sense or need another set-up.
inline constexpr std::chrono::milliseconds kShortMemory(5'000);

/// Decides after each failed attempt of one exchange whether there is another and when. Every
/// further attempt spends a fresh JWT-SVID. Source: destinations reference 0.2.
class RetryPlan {
 public:
  struct Options {
    Backoff::Options backoff;
    std::chrono::milliseconds propagation_wait{10'000};
    std::chrono::milliseconds denial_memory{30'000};
  };

  struct Step {
    /// Try again after this; nullopt: give up.
    std::optional<std::chrono::milliseconds> retry;
    /// After giving up, do not ask the vendor again for this long.
    std::chrono::milliseconds remember{0};
  };

  explicit RetryPlan(Options options) : options_(options), backoff_(options.backoff) {}

  Step Next(const ExchangeError& error);

 private:
  Step Once(std::chrono::milliseconds remember_after);
  Step Again(std::size_t most,
             std::chrono::milliseconds wait,
             std::chrono::milliseconds remember_after);

  Options options_;
  Backoff backoff_;
  /// Retries spent on refused tokens, and on everything that may pass by itself.
  std::size_t refused_ = 0;
  std::size_t waited_ = 0;
};

}  // namespace credence
