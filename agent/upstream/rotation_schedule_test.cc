#include "agent/upstream/rotation_schedule.h"

#include <chrono>
#include <string>

#include <gtest/gtest.h>

namespace credence {
namespace {

using namespace std::chrono_literals;

struct Case {
  std::string name;
  std::chrono::seconds life;
  double draw;
  std::chrono::seconds due_after;
};

class RotationScheduleTest : public testing::TestWithParam<Case> {
 protected:
  const WallTime start_ = FromUnixSeconds(1'800'000'000);
};

TEST_P(RotationScheduleTest, IsDueAtTheDrawnTimeAndNotBefore) {
  const auto& test = GetParam();
  const RotationSchedule schedule(start_, start_ + test.life, test.draw);
  EXPECT_EQ(schedule.due(), start_ + test.due_after);
  EXPECT_FALSE(schedule.Due(start_ + test.due_after - 1s));
  EXPECT_TRUE(schedule.Due(start_ + test.due_after));
  EXPECT_FALSE(schedule.Expired(start_ + test.life - 1s));
  EXPECT_TRUE(schedule.Expired(start_ + test.life));
  EXPECT_EQ(schedule.Until(start_), test.due_after);
  EXPECT_EQ(schedule.Until(start_ + test.life), 0s);
}

INSTANTIATE_TEST_SUITE_P(Draws,
                         RotationScheduleTest,
                         testing::Values(Case{"Half", 3600s, 0, 1800s},
                                         Case{"Earliest", 3600s, -1, 1620s},
                                         Case{"Latest", 3600s, 1, 1980s},
                                         Case{"DrawBeyondTheRangeIsCut", 3600s, 7, 1980s},
                                         Case{"Short", 20s, 0, 10s},
                                         Case{"Years", 24h * 365 * 10, 0, 12h * 365 * 10}),
                         [](const auto& test) { return test.param.name; });

TEST(RotationScheduleRandomTest, DrawsStayInTheRangeAndDiffer) {
  const auto start = FromUnixSeconds(1'800'000'000);
  auto earliest = WallTime::max();
  auto latest = WallTime::min();
  for (int i = 0; i < 1000; ++i) {
    const RotationSchedule schedule(start, start + 1000s);
    earliest = std::min(earliest, schedule.due());
    latest = std::max(latest, schedule.due());
  }
  EXPECT_GE(earliest, start + 450s);
  EXPECT_LE(latest, start + 550s);
  EXPECT_LT(earliest, start + 470s);
  EXPECT_GT(latest, start + 530s);
}

TEST(RotationScheduleRandomTest, OneThatIsDueWhenItComesIsNotReplacedAtOnce) {
  const auto start = FromUnixSeconds(1'800'000'000);
  const RotationSchedule schedule(start, start + 100s, 0);
  EXPECT_EQ(schedule.Spacing(start + 60s), 10s);
  EXPECT_EQ(schedule.Spacing(start + 98s), 1s);
  EXPECT_EQ(schedule.Spacing(start + 200s), 1s);
}

TEST(RotationScheduleRandomTest, CertificateThatEndsBeforeItBeginsIsDueAtItsEnd) {
  const auto start = FromUnixSeconds(1'800'000'000);
  const RotationSchedule schedule(start, start - 5s, 0);
  EXPECT_TRUE(schedule.Due(start));
  EXPECT_TRUE(schedule.Expired(start));
}

}  // namespace
}  // namespace credence
