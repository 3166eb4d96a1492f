#include "agent/exchange/uid_budget.h"

#include <algorithm>
#include <chrono>

namespace credence {

double UidBudget::TokensAt(const Bucket& bucket, SteadyTime now) const {
  const double seconds = std::chrono::duration<double>(now - bucket.filled).count();
  return std::min(options_.burst, bucket.tokens + std::max(0.0, seconds) * options_.per_second);
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
  if (bucket.tokens < 1) {
    return false;
  }
  bucket.tokens -= 1;
  return true;
}

}  // namespace credence
