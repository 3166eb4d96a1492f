#include "base/http/response_reader.h"

#include <algorithm>
#include <cstring>
#include <string>

#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "base/http/testing/scripted_server.h"

namespace credence {
namespace {

using testing::HasSubstr;

constexpr std::size_t kLimit = 1000;

/// Feeds `bytes` in pieces of `piece`, then the end of the stream if the answer is not complete by
/// then.
Result<HttpResponse> Read(const std::string& bytes, std::size_t piece) {
  ResponseReader reader(kLimit);
  std::size_t at = 0;
  while (at < bytes.size()) {
    const auto space = reader.Space();
    const std::size_t size = std::min({piece, space.size(), bytes.size() - at});
    std::memcpy(space.data(), bytes.data() + at, size);
    at += size;
    auto complete = reader.Commit(size);
    if (!complete.ok()) {
      return std::move(complete).error();
    }
    if (*complete) {
      return reader.Take();
    }
  }
  if (auto ended = reader.Eof(); !ended.ok()) {
    return std::move(ended).error();
  }
  return reader.Take();
}

class ResponseReaderTest : public testing::TestWithParam<std::size_t> {
 protected:
  Result<HttpResponse> Read(const std::string& bytes) { return credence::Read(bytes, GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(Pieces, ResponseReaderTest, testing::Values(1, 7, 100'000));

TEST_P(ResponseReaderTest, ReadsStatusHeadersAndBody) {
  const auto response = Read(HttpAnswer(200, "hello", "Request-Id: r1\r\n"));
  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->FindHeader("request-ID"), "r1");
  EXPECT_EQ(response->FindHeader("absent"), "");
  EXPECT_EQ(response->body.Reveal(), "hello");
}

TEST_P(ResponseReaderTest, ReadsChunks) {
  const auto response = Read(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: "
      "1\r\n\r\n");
  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->body.Reveal(), "abcde");
}

TEST_P(ResponseReaderTest, ReadsAnAnswerOfNoChunks) {
  const auto response = Read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
  ASSERT_THAT(response, IsOk());
  EXPECT_TRUE(response->body.empty());
}

TEST_P(ResponseReaderTest, EndOfStreamEndsABodyWithoutLength) {
  const auto response = Read("HTTP/1.0 200 OK\r\n\r\nabc");
  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->body.Reveal(), "abc");
}

TEST_P(ResponseReaderTest, EndAfterAnInterimAnswerIsNoAnswer) {
  EXPECT_THAT(Read("HTTP/1.1 100 Continue\r\n\r\n"), FailsWithCode(Code::kDataLoss));
}

TEST_P(ResponseReaderTest, SkipsInterimAnswers) {
  const auto response = Read("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" +
                             HttpAnswer(201, "a"));
  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->status, 201);
  EXPECT_EQ(response->FindHeader("Link"), "");
  EXPECT_EQ(response->body.Reveal(), "a");
}

TEST_P(ResponseReaderTest, EndlessInterimAnswersAreRefused) {
  std::string bytes;
  for (int i = 0; i < 20; ++i) {
    bytes += "HTTP/1.1 100 Continue\r\n\r\n";
  }
  EXPECT_THAT(Read(bytes), FailsWith(Code::kDataLoss, HasSubstr("interim")));
  EXPECT_THAT(Read("HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n"),
              FailsWithCode(Code::kDataLoss));
}

TEST_P(ResponseReaderTest, NoContentHasNoBody) {
  const auto response = Read("HTTP/1.1 204 No Content\r\n\r\n");
  ASSERT_THAT(response, IsOk());
  EXPECT_TRUE(response->body.empty());
}

TEST_P(ResponseReaderTest, StoppingInTheMiddleIsAnError) {
  const std::string whole = HttpAnswer(200, "hello");
  for (std::size_t size = 1; size < whole.size(); size += 9) {
    EXPECT_THAT(Read(whole.substr(0, size)),
                FailsWith(Code::kDataLoss, HasSubstr("stops in the middle")))
        << size;
  }
  EXPECT_THAT(Read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
              FailsWithCode(Code::kDataLoss));
}

TEST_P(ResponseReaderTest, NothingAtAllIsUnavailable) {
  EXPECT_THAT(Read(""), FailsWithCode(Code::kUnavailable));
}

TEST_P(ResponseReaderTest, GarbageIsNoAnswer) {
  EXPECT_THAT(Read("\x16\x03\x01 garbage\r\n\r\n"), FailsWithCode(Code::kDataLoss));
  EXPECT_THAT(Read("HTTP/2.0 200 OK\r\n\r\n"), FailsWithCode(Code::kDataLoss));
  EXPECT_THAT(Read("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
              FailsWithCode(Code::kDataLoss));
  EXPECT_THAT(Read("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
              FailsWithCode(Code::kDataLoss));
  EXPECT_THAT(Read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
              FailsWithCode(Code::kDataLoss));
}

TEST_P(ResponseReaderTest, TooLargeIsOutOfRange) {
  const std::string long_body(kLimit + 1, 'x');
  EXPECT_THAT(Read(HttpAnswer(200, std::string(kLimit, 'x'))), IsOk());
  EXPECT_THAT(Read(HttpAnswer(200, long_body)), FailsWithCode(Code::kOutOfRange));
  EXPECT_THAT(Read("HTTP/1.1 200 OK\r\n\r\n" + long_body), FailsWithCode(Code::kOutOfRange));
  EXPECT_THAT(Read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n" +
                   std::string(0xfff, 'x')),
              FailsWithCode(Code::kOutOfRange));
  EXPECT_THAT(Read("HTTP/1.1 200 OK\r\nX: " + std::string(20'000, 'x')),
              FailsWithCode(Code::kOutOfRange));
}

TEST_P(ResponseReaderTest, ChunkExtensionsCannotGoOnForEver) {
  std::string bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 100; ++i) {
    bytes += "1;" + std::string(4000, 'e') + "\r\nx\r\n";
  }
  EXPECT_THAT(Read(bytes), FailsWithCode(Code::kOutOfRange));
}

}  // namespace
}  // namespace credence
