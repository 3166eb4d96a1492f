#include "base/wire/gzip.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "base/wire/testing/gzip_text.h"

namespace credence::h2 {
namespace {

using testing::HasSubstr;

constexpr std::size_t kLimit = std::size_t{4} << 20;

TEST(InflateGzipTest, RestoresWhatWasCompressed) {
  const std::string varied = GzipNoise(300'000);
  for (const std::string& text :
       {std::string(), std::string("x"), std::string(60'000, 'a'), varied}) {
    EXPECT_THAT(InflateGzip(Gzip(text), kLimit), IsOkAndHolds(text));
  }
}

TEST(InflateGzipTest, AcceptsExactlyTheLimitAndNotOneByteMore) {
  const std::string text = GzipNoise(1000);
  EXPECT_THAT(InflateGzip(Gzip(text), 1000), IsOkAndHolds(text));
  EXPECT_THAT(InflateGzip(Gzip(text), 999), FailsWithCode(Code::kResourceExhausted));
}

TEST(InflateGzipTest, RefusesABomb) {
  const std::string bomb = Gzip(std::string(std::size_t{64} << 20, '\0'));
  ASSERT_LT(bomb.size(), std::size_t{100} << 10);
  EXPECT_THAT(InflateGzip(bomb, kLimit),
              FailsWith(Code::kResourceExhausted, HasSubstr("too large")));
  // Within the message limit, yet a thousand times its input.
  const std::string small_bomb = Gzip(std::string(std::size_t{3} << 20, '\0'));
  EXPECT_THAT(InflateGzip(small_bomb, kLimit), FailsWithCode(Code::kResourceExhausted));
}

TEST(InflateGzipTest, RefusesWhatIsNotOneWholeGzipMember) {
  const std::string good = Gzip("hello");
  std::string flipped = good;
  flipped[flipped.size() - 6] = static_cast<char>(flipped[flipped.size() - 6] ^ 1);
  for (const std::string& bad : {std::string(),
                                 std::string("hello"),
                                 good.substr(0, good.size() - 1),
                                 good + "x",
                                 good + good,
                                 flipped}) {
    EXPECT_THAT(InflateGzip(bad, kLimit), FailsWithCode(Code::kInvalidArgument));
  }
}

}  // namespace
}  // namespace credence::h2
