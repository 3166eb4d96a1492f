#include "base/wire/grpc_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"

namespace credence::h2 {
namespace {

TEST(PercentEncodeTest, KeepsPrintableAsciiAndEncodesTheRest) {
  EXPECT_EQ(PercentEncode("no identity issued", 100), "no identity issued");
  EXPECT_EQ(PercentEncode("100% \n\x7F\xC3\xA9", 100), "100%25 %0A%7F%C3%A9");
  EXPECT_EQ(PercentEncode("", 100), "");
}

TEST(PercentEncodeTest, CutsTheTextNotTheEncoding) {
  EXPECT_EQ(PercentEncode("a\n\n\n", 3), "a%0A%0A");
}

TEST(EncodeBinaryHeaderTest, MatchesRfc4648WithoutPadding) {
  EXPECT_EQ(EncodeBinaryHeader(""), "");
  EXPECT_EQ(EncodeBinaryHeader("f"), "Zg");
  EXPECT_EQ(EncodeBinaryHeader("fo"), "Zm8");
  EXPECT_EQ(EncodeBinaryHeader("foo"), "Zm9v");
  EXPECT_EQ(EncodeBinaryHeader("foob"), "Zm9vYg");
  EXPECT_EQ(EncodeBinaryHeader("\xFF\xFE\xFD"), "//79");
}

struct TimeoutCase {
  const char* name;
  const char* text;
  std::chrono::nanoseconds expected;
};

class AcceptedTimeoutTest : public testing::TestWithParam<TimeoutCase> {};

TEST_P(AcceptedTimeoutTest, IsRead) {
  EXPECT_THAT(ParseGrpcTimeout(GetParam().text), IsOkAndHolds(GetParam().expected));
}

INSTANTIATE_TEST_SUITE_P(
    GrpcText,
    AcceptedTimeoutTest,
    testing::Values(TimeoutCase{"Hours", "2H", std::chrono::hours(2)},
                    TimeoutCase{"Minutes", "3M", std::chrono::minutes(3)},
                    TimeoutCase{"Seconds", "10S", std::chrono::seconds(10)},
                    TimeoutCase{"Milliseconds", "250m", std::chrono::milliseconds(250)},
                    TimeoutCase{"Microseconds", "99999999u", std::chrono::microseconds(99'999'999)},
                    TimeoutCase{"Nanoseconds", "1n", std::chrono::nanoseconds(1)},
                    TimeoutCase{"Zero", "0S", std::chrono::nanoseconds(0)},
                    TimeoutCase{"LongestIsCapped", "99999999H", std::chrono::hours(24 * 365)}),
    [](const auto& each) { return each.param.name; });

class RefusedTimeoutTest : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(RefusedTimeoutTest, IsInvalidArgument) {
  EXPECT_THAT(ParseGrpcTimeout(GetParam().second), FailsWithCode(Code::kInvalidArgument));
}

INSTANTIATE_TEST_SUITE_P(GrpcText,
                         RefusedTimeoutTest,
                         testing::Values(std::pair{"Empty", ""},
                                         std::pair{"NoDigits", "S"},
                                         std::pair{"NoUnit", "10"},
                                         std::pair{"NineDigits", "123456789S"},
                                         std::pair{"Sign", "-1S"},
                                         std::pair{"Fraction", "1.5S"},
                                         std::pair{"Space", " 1S"},
                                         std::pair{"UnknownUnit", "1s"}),
                         [](const auto& each) { return each.param.first; });

TEST(PercentDecodeTest, UndoesPercentEncode) {
  const std::string text("50 % \n\xc3\xa4~\0x", 12);
  EXPECT_EQ(PercentDecode(PercentEncode(text, 100), 100), text);
  EXPECT_EQ(PercentDecode("%c3%A4", 100), "\xc3\xa4");
}

TEST(PercentDecodeTest, BrokenEscapesStayAndTheLengthIsBounded) {
  EXPECT_EQ(PercentDecode("%", 100), "%");
  EXPECT_EQ(PercentDecode("%4", 100), "%4");
  EXPECT_EQ(PercentDecode("%zz%41", 100), "%zzA");
  EXPECT_EQ(PercentDecode("%41%42%43", 2), "AB");
}

TEST(BinaryHeaderTest, IsReadWithAndWithoutPadding) {
  EXPECT_EQ(*DecodeBinaryHeader("YQ"), "a");
  EXPECT_EQ(*DecodeBinaryHeader("YQ=="), "a");
  EXPECT_EQ(*DecodeBinaryHeader(""), "");
  EXPECT_FALSE(DecodeBinaryHeader("Y").ok());
  EXPECT_FALSE(DecodeBinaryHeader("Y!==").ok());
}

TEST(GrpcTimeoutTest, IsWrittenSoThatItReadsBackAsNoLess) {
  EXPECT_EQ(FormatGrpcTimeout(std::chrono::nanoseconds(7)), "7n");
  EXPECT_EQ(FormatGrpcTimeout(std::chrono::milliseconds(100)), "100000u");
  EXPECT_EQ(FormatGrpcTimeout(std::chrono::seconds(30)), "30000000u");
  EXPECT_EQ(FormatGrpcTimeout(std::chrono::minutes(10)), "600000m");
  EXPECT_EQ(FormatGrpcTimeout(std::chrono::nanoseconds::max()), "31536000S");
  const auto odd = std::chrono::nanoseconds(123'456'789'012);
  EXPECT_GE(*ParseGrpcTimeout(FormatGrpcTimeout(odd)), odd);
}

}  // namespace
}  // namespace credence::h2
