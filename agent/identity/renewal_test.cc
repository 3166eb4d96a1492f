#include "agent/identity/renewal.h"

#include <gtest/gtest.h>

namespace credence {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const WallTime kStart = FromUnixSeconds(1'700'000'000);

TEST(RenewalTest, IsAtHalfOfTheLifetimeMovedByATwentiethAtMost) {
  const WallTime end = kStart + minutes(100);
  EXPECT_EQ(RenewalTime(kStart, end, 0), kStart + minutes(50));
  EXPECT_EQ(RenewalTime(kStart, end, -1), kStart + minutes(45));
  EXPECT_EQ(RenewalTime(kStart, end, 1), kStart + minutes(55));
}

TEST(RenewalTest, AvailabilityTargetCountsWhenTheLifetimeLeavesRoomForIt) {
  const WallTime end = kStart + hours(72);
  EXPECT_EQ(RenewalTime(kStart, end, -1, hours(24)), end - hours(24));
  EXPECT_EQ(RenewalTime(kStart, end, 1, hours(24)), end - hours(24) - minutes(10));
}

TEST(RenewalTest, AvailabilityTargetTooCloseToTheLifetimeFallsBackToHalf) {
  const WallTime end = kStart + hours(36);
  EXPECT_EQ(RenewalTime(kStart, end, 0, hours(24)), kStart + hours(18));
}

TEST(RenewalTest, AnSvidThatComesPastHalfOfItsLifeIsNotRenewedAtOnce) {
  const WallTime now = kStart + minutes(60);
  EXPECT_EQ(SpacedRenewal(kStart + minutes(50), now, kStart + minutes(100)), now + minutes(10));
  EXPECT_EQ(SpacedRenewal(kStart + minutes(80), now, kStart + minutes(100)), kStart + minutes(80));
  EXPECT_EQ(SpacedRenewal(kStart, now, now + seconds(2)), now + seconds(1));
  EXPECT_EQ(SpacedRenewal(kStart, now, kStart), now + seconds(1));
}

TEST(RenewalTest, JitterIsDrawnWithinItsRange) {
  for (int i = 0; i < 1000; ++i) {
    const double jitter = DrawJitter();
    EXPECT_GE(jitter, -1.0);
    EXPECT_LE(jitter, 1.0);
  }
}

}  // namespace
}  // namespace credence
