#include "agent/exchange/retry_plan.h"

#include <algorithm>

namespace credence {
namespace {

using std::chrono::milliseconds;

/// Retries after failures that may pass by themselves.
constexpr std::size_t kMaxWaits = 3;

milliseconds AskedWait(const ExchangeError& error) {
  const auto asked = std::clamp<std::chrono::seconds>(
      error.retry_after.value_or(std::chrono::seconds(0)), std::chrono::seconds(0), kMaxRetryAfter);
  return asked;
}

}  // namespace

RetryPlan::Step RetryPlan::Once(milliseconds remember_after) {
  if (refused_++ == 0) {
    return {.retry = milliseconds(0)};
  }
  return {.remember = remember_after};
}

RetryPlan::Step RetryPlan::Again(std::size_t most, milliseconds wait, milliseconds remember_after) {
  if (waited_++ < most) {
    return {.retry = wait};
  }
  return {.remember = remember_after};
}

RetryPlan::Step RetryPlan::Next(const ExchangeError& error) {
  switch (error.failure) {
    case ExchangeFailure::kBadToken:
    case ExchangeFailure::kClockSkew:
    case ExchangeFailure::kReplay:
      return Once(kShortMemory);
    case ExchangeFailure::kOpaqueDenied:
      return Once(options_.denial_memory);
    case ExchangeFailure::kPolicyDenied:
      return {.remember = options_.denial_memory};
    case ExchangeFailure::kBadRequest:
    case ExchangeFailure::kBadResponse:
      return {.remember = kShortMemory};
    case ExchangeFailure::kRateLimited:
    case ExchangeFailure::kUnavailable: {
      const milliseconds wait = std::max(AskedWait(error), backoff_.Next());
      return Again(kMaxWaits, wait, AskedWait(error));
    }
    case ExchangeFailure::kPropagation:
      return Again(kMaxWaits,
                   std::max(AskedWait(error), options_.propagation_wait),
                   options_.propagation_wait);
  }
  return {};
}

}  // namespace credence
