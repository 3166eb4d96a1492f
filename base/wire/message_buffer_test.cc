#include "base/wire/message_buffer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "base/wire/testing/gzip_text.h"

namespace credence::h2 {
namespace {

using testing::HasSubstr;

std::string Framed(std::string_view text, char flag = 0) {
  std::string framed(1, flag);
  for (const unsigned shift : {24U, 16U, 8U, 0U}) {
    framed += static_cast<char>((text.size() >> shift) & 0xFFU);
  }
  return framed.append(text);
}

TEST(MessageBufferTest, CutsMessagesWhereverTheBytesAreSplit) {
  const std::string bytes = Framed("one") + Framed("") + Framed("three");
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    MessageBuffer buffer(Compression::kNone, 100);
    std::vector<std::string> messages;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      ASSERT_THAT(buffer.Append(std::string_view(bytes).substr(at, step)), IsOk());
      while (buffer.HasMessage()) {
        auto message = buffer.Take();
        ASSERT_THAT(message, IsOk());
        messages.push_back(*message);
      }
    }
    EXPECT_THAT(messages, testing::ElementsAre("one", "", "three")) << step;
    EXPECT_EQ(buffer.size(), 0U);
  }
}

TEST(MessageBufferTest, TakesManySmallMessagesInTheOrderTheyCame) {
  constexpr int kMessages = 50'000;
  MessageBuffer buffer(Compression::kNone, 100);
  std::string bytes;
  for (int i = 0; i < kMessages; ++i) {
    bytes += Framed(std::to_string(i));
  }
  const std::size_t half = bytes.size() / 2;
  ASSERT_THAT(buffer.Append(std::string_view(bytes).substr(0, half)), IsOk());
  for (int i = 0; i < kMessages; ++i) {
    if (i == 100) {
      ASSERT_THAT(buffer.Append(std::string_view(bytes).substr(half)), IsOk());
    }
    ASSERT_TRUE(buffer.HasMessage());
    ASSERT_THAT(buffer.Take(), IsOkAndHolds(std::to_string(i)));
  }
  EXPECT_EQ(buffer.size(), 0U);
}

TEST(MessageBufferTest, RefusesALongMessageAtItsPrefix) {
  MessageBuffer buffer(Compression::kNone, 3);
  EXPECT_THAT(buffer.Append(Framed("abc")), IsOk());
  EXPECT_THAT(buffer.Take(), IsOkAndHolds(std::string("abc")));
  EXPECT_THAT(buffer.Append(Framed("abcd").substr(0, 5)),
              FailsWith(Code::kResourceExhausted, HasSubstr("4 bytes is over the limit of 3")));
}

TEST(MessageBufferTest, RefusesALongSecondMessageWhenItBecomesTheFirst) {
  MessageBuffer buffer(Compression::kNone, 3);
  ASSERT_THAT(buffer.Append(Framed("abc") + std::string("\0\xFF\xFF\xFF\xFF", 5)), IsOk());
  EXPECT_THAT(buffer.Take(), FailsWithCode(Code::kResourceExhausted));
}

TEST(MessageBufferTest, RefusesAnUnknownFlagAndUnannouncedCompression) {
  MessageBuffer other(Compression::kNone, 100);
  EXPECT_THAT(other.Append("\x02"), FailsWith(Code::kInternal, HasSubstr("not a gRPC message")));
  MessageBuffer plain(Compression::kNone, 100);
  EXPECT_THAT(plain.Append(Framed("x", 1)), FailsWith(Code::kInternal, HasSubstr("grpc-encoding")));
}

TEST(MessageBufferTest, DecompressesPerMessageFlag) {
  MessageBuffer buffer(Compression::kGzip, 1000);
  ASSERT_THAT(buffer.Append(Framed(Gzip(std::string(900, 'z')), 1) + Framed("plain")), IsOk());
  EXPECT_THAT(buffer.Take(), IsOkAndHolds(std::string(900, 'z')));
  EXPECT_THAT(buffer.Take(), IsOkAndHolds(std::string("plain")));
}

TEST(MessageBufferTest, LimitsHoldAfterDecompression) {
  MessageBuffer buffer(Compression::kGzip, 1000);
  ASSERT_THAT(buffer.Append(Framed(Gzip(std::string(1001, 'z')), 1)), IsOk());
  EXPECT_THAT(buffer.Take(), FailsWithCode(Code::kResourceExhausted));
}

}  // namespace
}  // namespace credence::h2
