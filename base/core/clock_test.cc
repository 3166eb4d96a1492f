#include "base/core/clock.h"

#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

#include "base/core/deadline.h"
#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

TEST(FakeClockTest, BothTimesMoveTogetherAndOnlyWhenTold) {
  FakeClock clock(FromUnixSeconds(1000));
  const SteadyTime before = clock.SteadyNow();
  EXPECT_EQ(clock.Now(), FromUnixSeconds(1000));
  clock.Advance(seconds(5));
  EXPECT_EQ(clock.Now(), FromUnixSeconds(1005));
  EXPECT_EQ(clock.SteadyNow() - before, seconds(5));
}

TEST(UnixSecondsTest, RoundDown) {
  EXPECT_EQ(ToUnixSeconds(FromUnixSeconds(7) + milliseconds(999)), 7);
  EXPECT_EQ(ToUnixSeconds(FromUnixSeconds(0) - milliseconds(1)), -1);
}

TEST(UnixSecondsTest, FarTimesAreCutToWhatAWallTimeHolds) {
  for (const std::int64_t far :
       {std::int64_t{253'402'300'799}, std::numeric_limits<std::int64_t>::max()}) {
    EXPECT_EQ(ToUnixSeconds(FromUnixSeconds(far)), 9'000'000'000) << far;
    EXPECT_GT(FromUnixSeconds(far) + hours(24) * 365, FromUnixSeconds(far)) << far;
  }
  EXPECT_EQ(ToUnixSeconds(FromUnixSeconds(std::numeric_limits<std::int64_t>::min())),
            -9'000'000'000);
}

TEST(FormatRfc3339Test, WritesUtc) {
  EXPECT_EQ(FormatRfc3339(FromUnixSeconds(0)), "1970-01-01T00:00:00Z");
  EXPECT_EQ(FormatRfc3339(FromUnixSeconds(1'795'314'600) + milliseconds(999)),
            "2026-11-22T02:30:00Z");
  EXPECT_EQ(FormatRfc3339Millis(FromUnixSeconds(1'795'314'600) + milliseconds(7)),
            "2026-11-22T02:30:00.007Z");
  EXPECT_EQ(FormatRfc3339(FromUnixSeconds(-1)), "1969-12-31T23:59:59Z");
}

TEST(ParseTimeTest, ReadsTimesAndDates) {
  EXPECT_THAT(ParseTime("2026-11-22T02:30:00Z"), IsOkAndHolds(FromUnixSeconds(1'795'314'600)));
  EXPECT_THAT(ParseTime("2026-11-22"), IsOkAndHolds(FromUnixSeconds(1'795'305'600)));
  EXPECT_THAT(ParseTime("2028-02-29"), IsOk());
  EXPECT_THAT(ParseTime("9999-12-31T23:59:59Z"), IsOkAndHolds(FromUnixSeconds(253'402'300'799)));
}

TEST(ParseTimeTest, RefusesEverythingElse) {
  for (const char* bad : {"",
                          "2026",
                          "2026-11",
                          "2026-11-2",
                          "2026/11/22",
                          "2026-11-22T",
                          "2026-11-22T02:30:00",
                          "2026-11-22t02:30:00Z",
                          "2026-11-22T02:30:00z",
                          "2026-11-22 02:30:00Z",
                          "2026-11-22T02:30:00+00:00",
                          "2026-11-22T02:30:00.5Z",
                          "2026-11-22T24:00:00Z",
                          "2026-11-22T02:60:00Z",
                          "2026-11-22T02:30:60Z",
                          "2026-02-29",
                          "2026-13-01",
                          "2026-00-01",
                          "2026-01-00",
                          "+026-01-01",
                          "2026-11-22T02:30:00ZZ"}) {
    EXPECT_THAT(ParseTime(bad), FailsWith(Code::kInvalidArgument, HasSubstr("not a time"))) << bad;
  }
}

TEST(ParseDurationTest, ReadsGoStyleTexts) {
  EXPECT_THAT(ParseDuration("250ms"), IsOkAndHolds(milliseconds(250)));
  EXPECT_THAT(ParseDuration("30s"), IsOkAndHolds(seconds(30)));
  EXPECT_THAT(ParseDuration("10m"), IsOkAndHolds(minutes(10)));
  EXPECT_THAT(ParseDuration("2h"), IsOkAndHolds(hours(2)));
  EXPECT_THAT(ParseDuration("1h30m"), IsOkAndHolds(minutes(90)));
  EXPECT_THAT(ParseDuration("0s"), IsOkAndHolds(milliseconds(0)));
  EXPECT_THAT(ParseDuration("1m1ms"), IsOkAndHolds(minutes(1) + milliseconds(1)));
  EXPECT_THAT(ParseDuration("1.5h"), IsOkAndHolds(minutes(90)));
  EXPECT_THAT(ParseDuration("0.250s"), IsOkAndHolds(milliseconds(250)));
  EXPECT_THAT(ParseDuration("0.5h0.5m"), IsOkAndHolds(minutes(30) + seconds(30)));
  EXPECT_THAT(ParseDuration("0.000000000h"), IsOkAndHolds(milliseconds(0)));
}

TEST(ParseDurationTest, RefusesEverythingElse) {
  for (const char* bad : {"",
                          "5",
                          "s",
                          "-5s",
                          "+5s",
                          "1.h",
                          ".5h",
                          "1.-5h",
                          "1.5.5h",
                          "1.5",
                          "0.5ms",
                          "0.0001s",
                          "0.0000000000h",
                          "5S",
                          "5 s",
                          " 5s",
                          "5s ",
                          "5d",
                          "1h30",
                          "1us",
                          "1hm",
                          "1e3s",
                          "0x1s",
                          "87841h",
                          "99999999999999999999s",
                          "9223372036854775807ms",
                          "80000h80000h"}) {
    EXPECT_THAT(ParseDuration(bad), FailsWith(Code::kInvalidArgument, HasSubstr("not a duration")))
        << bad;
  }
}

TEST(FormatDurationTest, IsTheShortestTextAndReadsBack) {
  for (const auto& [millis, text] : std::vector<std::pair<int, std::string>>{
           {0, "0s"}, {250, "250ms"}, {1000, "1s"}, {5'400'000, "1h30m"}, {3'600'001, "1h1ms"}}) {
    EXPECT_EQ(FormatDuration(milliseconds(millis)), text);
    EXPECT_THAT(ParseDuration(text), IsOkAndHolds(milliseconds(millis)));
  }
  EXPECT_EQ(FormatDuration(milliseconds(-5)), "0s");
}

TEST(DeadlineTest, RemainingNeverGoesBelowZero) {
  const Deadline past = Deadline::After(-seconds(5));
  EXPECT_EQ(past.Remaining().count(), 0);
  EXPECT_TRUE(past.Passed());
  const Deadline future = Deadline::After(hours(1));
  EXPECT_FALSE(future.Passed());
  EXPECT_GT(future.Remaining(), minutes(59));
  EXPECT_LE(future.Remaining(), hours(1));
}

TEST(DeadlineTest, ShrinksOnly) {
  const Deadline soon = Deadline::After(seconds(1));
  const Deadline late = Deadline::After(hours(1));
  EXPECT_EQ(soon.Earlier(late).time(), soon.time());
  EXPECT_EQ(late.Earlier(soon).time(), soon.time());
}

TEST(DeadlineTest, AnEndlessTimeoutDoesNotOverflow) {
  EXPECT_FALSE(Deadline::After(std::chrono::nanoseconds::max()).Passed());
}

}  // namespace
}  // namespace credence
