#pragma once

#include <sys/types.h>

#include <cstddef>
#include <map>

#include "base/core/clock.h"

namespace credence {

/// How many requests a user may make: a burst, then a steady rate. Each user has a bucket of its
/// own, so one that floods spends its own only; one more for all together bounds what many users
/// (one may have 65,536 by subuid(5)) can cause. Pure.
class UidBudget {
 public:
  struct Options {
    double burst = 100;
    double per_second = 5;
    std::size_t max_users = 4096;
    /// Of all users together; a burst of 0 is no bound.
    double burst_of_all = 0;
    double per_second_of_all = 0;
  };

  explicit UidBudget(Options options)
      : options_(options), all_{.tokens = options.burst_of_all, .filled = {}} {}

  /// Takes one request from the bucket of `uid` and from that of all; false if one is empty.
  bool Take(uid_t uid, SteadyTime now);

 private:
  struct Bucket {
    double tokens = 0;
    SteadyTime filled;
  };

  double TokensAt(const Bucket& bucket, SteadyTime now) const;
  /// There is one for anybody.
  bool AllHave(SteadyTime now);
  void ForgetFullBuckets(SteadyTime now);

  Options options_;
  std::map<uid_t, Bucket> buckets_;
  Bucket all_;
};

}  // namespace credence
