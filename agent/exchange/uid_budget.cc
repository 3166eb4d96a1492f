#include "agent/exchange/uid_budget.h"

#include <algorithm>
#include <chrono>

namespace credence {

void UidBudget::Fill(Bucket& bucket, SteadyTime now) const {
  const double seconds = std::chrono::duration<double>(now - bucket.filled).count();
  bucket.tokens =
      std::min(options_.burst, bucket.tokens + std::max(0.0, seconds) * options_.per_second);
  bucket.filled = now;
}

void UidBudget::ForgetFullBuckets(SteadyTime now) {
  std::erase_if(buckets_, [&](auto& entry) {
    Fill(entry.second, now);
    return entry.second.tokens >= options_.burst;
  });
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
  Fill(bucket, now);
  if (bucket.tokens < 1) {
    return false;
  }
  bucket.tokens -= 1;
  return true;
}

}  // namespace credence
