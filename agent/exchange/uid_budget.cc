#include "agent/exchange/uid_budget.h"

#include <algorithm>
#include <chrono>

namespace credence {

namespace {

double Refilled(double tokens, SteadyTime filled, SteadyTime now, double burst, double per_second) {
  const double seconds = std::chrono::duration<double>(now - filled).count();
  return std::min(burst, tokens + std::max(0.0, seconds) * per_second);
}

}  // namespace

double UidBudget::TokensAt(const Bucket& bucket, SteadyTime now) const {
  return Refilled(bucket.tokens, bucket.filled, now, options_.burst, options_.per_second);
}

bool UidBudget::AllHave(SteadyTime now) {
  all_.tokens =
      Refilled(all_.tokens, all_.filled, now, options_.burst_of_all, options_.per_second_of_all);
  all_.filled = now;
  return options_.burst_of_all <= 0 || all_.tokens >= 1;
}

void UidBudget::ForgetFullBuckets(SteadyTime now) {
  std::erase_if(buckets_,
                [&](const auto& entry) { return TokensAt(entry.second, now) >= options_.burst; });
}

bool UidBudget::Take(uid_t uid, SteadyTime now) {
  auto found = buckets_.find(uid);
  if (found == buckets_.end()) {
    if (buckets_.size() >= options_.max_users) {
      ForgetFullBuckets(now);
    }
    if (buckets_.size() >= options_.max_users) {
      return false;
    }
    found = buckets_.emplace(uid, Bucket{options_.burst, now}).first;
  }
  Bucket& bucket = found->second;
  bucket = Bucket{TokensAt(bucket, now), now};
  if (bucket.tokens < 1 || !AllHave(now)) {
    return false;
  }
  bucket.tokens -= 1;
  all_.tokens -= 1;
  return true;
}

}  // namespace credence
