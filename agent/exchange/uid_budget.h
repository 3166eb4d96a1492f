#pragma once

#include <sys/types.h>

#include <cstddef>
#include <map>

#include "base/core/clock.h"

namespace credence {

/// How many requests a user may make: a burst, then a steady rate. Each user has a bucket of its
/// own, so one that floods spends its own only. Pure.
class UidBudget {
 public:
  struct Options {
    double burst = 100;
    double per_second = 5;
    std::size_t max_users = 4096;
  };

  explicit UidBudget(Options options) : options_(options) {}

  /// Takes one request from the bucket of `uid`; false if it is empty.
  bool Take(uid_t uid, SteadyTime now);

 private:
  struct Bucket {
    double tokens = 0;
    SteadyTime filled;
  };

  double TokensAt(const Bucket& bucket, SteadyTime now) const;
  void ForgetFullBuckets(SteadyTime now);

  Options options_;
  std::map<uid_t, Bucket> buckets_;
};

}  // namespace credence
