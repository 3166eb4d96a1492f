#include "base/http/server_message.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace credence {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::size_t kMaxHead = 512;

void Feed(RequestReader& reader, std::string_view bytes) {
  const auto space = reader.Space();
  ASSERT_LE(bytes.size(), space.size());
  std::copy(bytes.begin(), bytes.end(), space.begin());
  reader.Commit(bytes.size());
}

std::optional<ServerRequest> ReadAtOnce(std::string_view bytes) {
  RequestReader reader(kMaxHead);
  Feed(reader, bytes);
  return reader.Next();
}

struct RequestCase {
  std::string name;
  std::string bytes;
  std::string path;
  bool head_only = false;
  bool keep_alive = true;
};

class AcceptedRequestTest : public testing::TestWithParam<RequestCase> {};

TEST_P(AcceptedRequestTest, IsRead) {
  const auto request = ReadAtOnce(GetParam().bytes);
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->status, 200);
  EXPECT_EQ(request->path, GetParam().path);
  EXPECT_EQ(request->head_only, GetParam().head_only);
  EXPECT_EQ(request->keep_alive, GetParam().keep_alive);
}

INSTANTIATE_TEST_SUITE_P(
    ,
    AcceptedRequestTest,
    testing::Values(
        RequestCase{"Plain", "GET /keys HTTP/1.1\r\nHost: a\r\n\r\n", "/keys"},
        RequestCase{"Head", "HEAD /keys HTTP/1.1\r\nHost: a\r\n\r\n", "/keys", true},
        RequestCase{"QueryIsPassedOver", "GET /k?a=/b HTTP/1.1\r\nHost: a\r\n\r\n", "/k"},
        RequestCase{"EmptyHost", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "/"},
        RequestCase{"AbsoluteForm", "GET http://a:8/k?x HTTP/1.1\r\nHost: a\r\n\r\n", "/k"},
        RequestCase{"AbsoluteFormWithoutPath", "GET http://a?/x HTTP/1.1\r\nHost: a\r\n\r\n", "/"},
        RequestCase{"EmptyLineBefore", "\r\nGET /k HTTP/1.1\r\nHost: a\r\n\r\n", "/k"},
        RequestCase{"LengthZero", "GET /k HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "/k"},
        RequestCase{
            "Close", "GET /k HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "/k", false, false},
        RequestCase{"OldVersion", "GET /k HTTP/1.0\r\n\r\n", "/k", false, false},
        RequestCase{
            "OldVersionKeptAlive", "GET /k HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "/k"}),
    [](const auto& row) { return row.param.name; });

struct RefusalCase {
  std::string name;
  std::string bytes;
  int status = 400;
};

class RefusedRequestTest : public testing::TestWithParam<RefusalCase> {};

TEST_P(RefusedRequestTest, HasItsStatus) {
  const auto request = ReadAtOnce(GetParam().bytes);
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->status, GetParam().status);
  EXPECT_FALSE(request->keep_alive);
}

INSTANTIATE_TEST_SUITE_P(
    ,
    RefusedRequestTest,
    testing::Values(
        RefusalCase{"Post", "POST /k HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n", 405},
        RefusalCase{"UnknownMethod", "BREW /k HTTP/1.1\r\nHost: a\r\n\r\n", 405},
        RefusalCase{"OptionsOfTheServer", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 405},
        RefusalCase{"Connect", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405},
        RefusalCase{"NoHost", "GET /k HTTP/1.1\r\n\r\n"},
        RefusalCase{"TwoHosts", "GET /k HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
        RefusalCase{"Body", "GET /k HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"},
        RefusalCase{"HugeBody",
                    "GET /k HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999\r\n\r\n"},
        RefusalCase{"Chunks", "GET /k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"},
        RefusalCase{"LengthAndChunks",
                    "GET /k HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n"},
        RefusalCase{"TwoLengths",
                    "GET /k HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 3\r\n\r\n"},
        RefusalCase{"Asterisk", "GET * HTTP/1.1\r\nHost: a\r\n\r\n"},
        RefusalCase{"RelativeTarget", "GET k HTTP/1.1\r\nHost: a\r\n\r\n"},
        RefusalCase{"NoVersion", "GET /k\r\n\r\n"},
        RefusalCase{"FutureVersion", "GET /k HTTP/2.0\r\nHost: a\r\n\r\n"},
        RefusalCase{"Http2Preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
        RefusalCase{"SpaceInTarget", "GET /k x HTTP/1.1\r\nHost: a\r\n\r\n"},
        RefusalCase{"SpaceBeforeColon", "GET /k HTTP/1.1\r\nHost : a\r\n\r\n"},
        RefusalCase{"LineWithoutColon", "GET /k HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n"},
        RefusalCase{"BareLineFeedIsRefusedAtOnce", "GET /k HTTP/1.1\n"},
        RefusalCase{"ZeroByteIsRefusedAtOnce", std::string("GET /\0", 6)},
        RefusalCase{"TlsHelloIsRefusedAtOnce", "\x16\x03\x01"},
        RefusalCase{"TwoEmptyLines", "\r\n\r\n"},
        RefusalCase{"LongLine", "GET /" + std::string(kMaxHead - 5, 'x'), 431},
        RefusalCase{"ManyLines", "GET / HTTP/1.1\r\nX: " + std::string(kMaxHead - 19, 'x'), 431}),
    [](const auto& row) { return row.param.name; });

TEST(RequestReaderTest, WaitsForTheWholeHeadByteByByte) {
  const std::string bytes = "\r\nGET /keys HTTP/1.1\r\nHost: a\r\n\r\n";
  RequestReader reader(kMaxHead);
  EXPECT_TRUE(reader.empty());
  for (std::size_t i = 0; i + 1 < bytes.size(); ++i) {
    Feed(reader, bytes.substr(i, 1));
    ASSERT_FALSE(reader.Next().has_value()) << i;
  }
  Feed(reader, "\n");
  const auto request = reader.Next();
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->path, "/keys");
  EXPECT_TRUE(reader.empty());
}

TEST(RequestReaderTest, KeepsWhatFollowsForTheNextRequest) {
  RequestReader reader(kMaxHead);
  Feed(reader, "GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\nHEAD /c");
  EXPECT_EQ(reader.Next()->path, "/a");
  EXPECT_FALSE(reader.empty());
  EXPECT_EQ(reader.Next()->path, "/b");
  EXPECT_FALSE(reader.Next().has_value());
  Feed(reader, " HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto request = reader.Next();
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->path, "/c");
  EXPECT_TRUE(request->head_only);
}

TEST(RequestReaderTest, TakesAHeadOfExactlyTheLimit) {
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  const std::string bytes = start + std::string(kMaxHead - start.size() - 4, 'x') + "\r\n\r\n";
  ASSERT_EQ(bytes.size(), kMaxHead);
  EXPECT_EQ(ReadAtOnce(bytes)->status, 200);
}

TEST(ServerMessageTest, DatesAreThoseOfHttp) {
  EXPECT_EQ(FormatHttpDate(FromUnixSeconds(784'111'777)), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(FormatHttpDate(FromUnixSeconds(1'709'164'800)), "Thu, 29 Feb 2024 00:00:00 GMT");
}

TEST(ServerMessageTest, AnswerSaysHowLongItMayBeKeptAndNotWhoAnswers) {
  ServerResponseHead head;
  head.content_type = "application/json";
  head.content_length = 12;
  head.max_age = std::chrono::seconds(60);
  head.keep_alive = true;
  EXPECT_EQ(SerializeResponseHead(head, FromUnixSeconds(784'111'777)),
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
            "Content-Type: application/json\r\nContent-Length: 12\r\n"
            "Cache-Control: public, max-age=60\r\nConnection: keep-alive\r\n\r\n");
}

TEST(ServerMessageTest, RefusalsAreNotKeptAndNameTheMethodsThereAre) {
  ServerResponseHead head;
  head.status = 405;
  const std::string text = SerializeResponseHead(head, FromUnixSeconds(0));
  EXPECT_THAT(text, HasSubstr("HTTP/1.1 405 Method Not Allowed\r\n"));
  EXPECT_THAT(text, HasSubstr("Allow: GET, HEAD\r\n"));
  EXPECT_THAT(text, HasSubstr("Cache-Control: no-store\r\n"));
  EXPECT_THAT(text, HasSubstr("Connection: close\r\n"));
  head.status = 200;
  EXPECT_THAT(SerializeResponseHead(head, FromUnixSeconds(0)),
              AllOf(HasSubstr("Cache-Control: no-cache\r\n"), Not(HasSubstr("Allow"))));
}

}  // namespace
}  // namespace credence
