#include "agent/identity/renewal.h"

#include <algorithm>
#include <random>

namespace credence {
namespace {

constexpr std::chrono::hours kLeastSpareForTarget{12};

WallTime::duration Scale(WallTime::duration duration, double factor) {
  return std::chrono::duration_cast<WallTime::duration>(duration * factor);
}

}  // namespace

WallTime RenewalTime(WallTime not_before,
                     WallTime not_after,
                     double jitter,
                     std::optional<std::chrono::milliseconds> availability_target) {
  const auto lifetime = not_after - not_before;
  if (availability_target && lifetime - *availability_target > kLeastSpareForTarget) {
    constexpr std::chrono::minutes kSpread{10};
    return not_after - *availability_target - Scale(kSpread, (jitter + 1) / 2);
  }
  constexpr double kHalf = 0.5;
  constexpr double kSpread = 0.1;
  return not_before + Scale(lifetime, kHalf + kSpread * jitter / 2);
}

WallTime SpacedRenewal(WallTime renewal, WallTime now, WallTime not_after) {
  constexpr WallTime::duration kLeast = std::chrono::seconds(1);
  return std::max(renewal, now + std::max(kLeast, (not_after - now) / 4));
}

double DrawJitter() {
  thread_local std::minstd_rand random(std::random_device{}());
  std::uniform_real_distribution<double> even(-1, 1);
  return even(random);
}

}  // namespace credence
