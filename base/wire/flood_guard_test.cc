#include "base/wire/flood_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

namespace credence::h2 {
namespace {

constexpr SteadyTime kStart{};

struct FloodCase {
  const char* name;
  std::uint8_t type;
  std::uint8_t flags;
  std::uint32_t length;
  /// How many pass at once before the guard says stop.
  int passes;
};

class FloodTest : public testing::TestWithParam<FloodCase> {};

TEST_P(FloodTest, IsStoppedAfterAFixedNumberOfFrames) {
  const FloodCase& flood = GetParam();
  FloodGuard guard(kStart);
  for (int i = 0; i < flood.passes; ++i) {
    ASSERT_TRUE(guard.OnFrame(flood.type, flood.flags, flood.length, kStart)) << i;
  }
  EXPECT_FALSE(guard.OnFrame(flood.type, flood.flags, flood.length, kStart));
}

INSTANTIATE_TEST_SUITE_P(
    FloodGuard,
    FloodTest,
    testing::Values(FloodCase{"Ping", NGHTTP2_PING, 0, 8, 500},
                    FloodCase{"PingAck", NGHTTP2_PING, NGHTTP2_FLAG_ACK, 8, 500},
                    FloodCase{"Settings", NGHTTP2_SETTINGS, 0, 6, 50},
                    FloodCase{"Reset", NGHTTP2_RST_STREAM, 0, 4, 500},
                    FloodCase{"EmptyData", NGHTTP2_DATA, 0, 0, 250},
                    FloodCase{"TinyData", NGHTTP2_DATA, 0, 1, 1000},
                    FloodCase{"WindowUpdate", NGHTTP2_WINDOW_UPDATE, 0, 4, 1000},
                    FloodCase{"Priority", NGHTTP2_PRIORITY, 0, 5, 1000},
                    FloodCase{"Headers", NGHTTP2_HEADERS, 4, 10, 1000},
                    FloodCase{"UnknownType", 0xEE, 0, 0, 1000}),
    [](const auto& each) { return each.param.name; });

TEST(FloodGuardTest, TimeGivesPointsBackUpToTheFirstAmount) {
  FloodGuard guard(kStart);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(guard.OnFrame(NGHTTP2_PRIORITY, 0, 5, kStart));
  }
  const SteadyTime later = kStart + std::chrono::seconds(1);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(guard.OnFrame(NGHTTP2_PRIORITY, 0, 5, later)) << i;
  }
  EXPECT_FALSE(guard.OnFrame(NGHTTP2_PRIORITY, 0, 5, later));
  const SteadyTime much_later = later + std::chrono::hours(100);
  // One less: the refused frame was counted as well.
  for (int i = 0; i < 999; ++i) {
    ASSERT_TRUE(guard.OnFrame(NGHTTP2_PRIORITY, 0, 5, much_later)) << i;
  }
  EXPECT_FALSE(guard.OnFrame(NGHTTP2_PRIORITY, 0, 5, much_later));
}

TEST(FloodGuardTest, AClientThatCallsMayPingAndUpdateWindowsForEver) {
  FloodGuard guard(kStart);
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_TRUE(guard.OnFrame(NGHTTP2_HEADERS, 4, 50, kStart));
    ASSERT_TRUE(guard.OnFrame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 5, kStart));
    guard.OnMessageTaken();
    guard.OnCallFrameSent();
    guard.OnCallFrameSent();
    guard.OnCallFrameSent();
    ASSERT_TRUE(guard.OnFrame(NGHTTP2_WINDOW_UPDATE, 0, 4, kStart));
    ASSERT_TRUE(guard.OnFrame(NGHTTP2_WINDOW_UPDATE, 0, 4, kStart));
    ASSERT_TRUE(guard.OnFrame(NGHTTP2_PING, 0, 8, kStart)) << i;
    ASSERT_TRUE(guard.OnFrame(NGHTTP2_PING, NGHTTP2_FLAG_ACK, 8, kStart)) << i;
  }
}

TEST(FloodGuardTest, UselessBytesAreCountedByTheirSize) {
  FloodGuard crumbs(kStart);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(crumbs.OnUselessBytes(1, kStart)) << i;
  }
  EXPECT_FALSE(crumbs.OnUselessBytes(1, kStart));
  FloodGuard blocks(kStart);
  for (int i = 0; i < 58; ++i) {
    ASSERT_TRUE(blocks.OnUselessBytes(16384, kStart)) << i;
  }
  EXPECT_FALSE(blocks.OnUselessBytes(16384, kStart));
}

TEST(FloodGuardTest, BigDataFramesCostNothing) {
  FloodGuard guard(kStart);
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_TRUE(guard.OnFrame(NGHTTP2_DATA, 0, 16384, kStart));
  }
}

TEST(FloodGuardTest, TheAnswersToManyCallsMayComeAtOnce) {
  FloodGuard guard(kStart);
  constexpr int kCalls = 1000;
  for (int call = 0; call < kCalls; ++call) {
    guard.OnCallFrameSent();
    guard.OnCallFrameSent();
  }
  for (int call = 0; call < kCalls; ++call) {
    EXPECT_TRUE(guard.OnFrame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 10, kStart));
    EXPECT_TRUE(guard.OnFrame(NGHTTP2_DATA, 0, 5, kStart));
    EXPECT_TRUE(guard.OnFrame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 10, kStart));
    EXPECT_TRUE(guard.OnFrame(NGHTTP2_RST_STREAM, 0, 4, kStart));
    EXPECT_TRUE(guard.OnFrame(NGHTTP2_PING, 0, 8, kStart));
  }
}

}  // namespace
}  // namespace credence::h2
