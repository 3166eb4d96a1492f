#include "base/http/request.h"

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::HasSubstr;

HttpRequest RequestTo(const std::string& url) {
  HttpRequest request;
  request.url = ParseHttpUrl(url).value();
  return request;
}

TEST(RequestTest, PutsHeadersAndBodyOnTheWire) {
  HttpRequest request = RequestTo("https://a:8443/v1/x?y=1");
  request.method = HttpMethod::kPost;
  request.headers.push_back(PlainHeader("X-One", "1"));
  request.headers.push_back(HttpHeader{
      "Authorization", std::make_shared<const SecretBytes>(SecretBytes::CopyOf("Bearer t"))});
  request.body = SecretBytes::CopyOf("{}");

  const auto text = SerializeRequest(request);

  ASSERT_THAT(text, IsOk());
  EXPECT_EQ(
      text->Reveal(),
      "POST /v1/x?y=1 HTTP/1.1\r\nHost: a:8443\r\nUser-Agent: credence\r\nConnection: close\r\n"
      "Accept-Encoding: identity\r\nX-One: 1\r\nAuthorization: Bearer t\r\nContent-Length: "
      "2\r\n\r\n{}");
}

TEST(RequestTest, PostWithoutBodySaysSo) {
  HttpRequest request = RequestTo("https://a/");
  request.method = HttpMethod::kPost;
  const auto text = SerializeRequest(request);
  ASSERT_THAT(text, IsOk());
  EXPECT_THAT(std::string(text->Reveal()), HasSubstr("Content-Length: 0\r\n"));
}

TEST(RequestTest, HeaderCannotBreakOutOfItsLine) {
  const std::string bad_values[] = {
      "a\r\nX-Evil: 1", "a\nb", std::string("a\0b", 3), "\x7f", "\xc3\xa9"};
  for (const std::string& value : bad_values) {
    HttpRequest request = RequestTo("https://a/");
    request.headers.push_back(PlainHeader("X-One", value));
    EXPECT_THAT(SerializeRequest(request), FailsWith(Code::kInvalidArgument, HasSubstr("X-One")));
  }
  for (const std::string name : {"", "X One", "X:One", "X\r\n"}) {
    HttpRequest request = RequestTo("https://a/");
    request.headers.push_back(PlainHeader(name, "1"));
    EXPECT_THAT(SerializeRequest(request), FailsWithCode(Code::kInvalidArgument));
  }
}

TEST(RequestTest, FramingHeadersBelongToTheClient) {
  for (const std::string name :
       {"Host", "content-length", "Transfer-Encoding", "Connection", "Upgrade"}) {
    HttpRequest request = RequestTo("https://a/");
    request.headers.push_back(PlainHeader(name, "1"));
    EXPECT_THAT(SerializeRequest(request),
                FailsWith(Code::kInvalidArgument, HasSubstr("cannot be set")));
  }
}

}  // namespace
}  // namespace credence
