#include "base/http/url.h"

#include <string>

#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::HasSubstr;

struct AcceptCase {
  std::string name;
  std::string text;
  std::string host;
  std::uint16_t port;
  std::string target;
  std::string authority;
};

class UrlAcceptTest : public testing::TestWithParam<AcceptCase> {};

TEST_P(UrlAcceptTest, IsRead) {
  const auto url = ParseHttpUrl(GetParam().text);
  ASSERT_THAT(url, IsOk());
  EXPECT_EQ(url->host, GetParam().host);
  EXPECT_EQ(url->port, GetParam().port);
  EXPECT_EQ(url->target, GetParam().target);
  EXPECT_EQ(url->Authority(), GetParam().authority);
}

INSTANTIATE_TEST_SUITE_P(
    All,
    UrlAcceptTest,
    testing::Values(
        AcceptCase{
            "Plain", "https://api.example.com", "api.example.com", 443, "/", "api.example.com"},
        AcceptCase{"UpperCase",
                   "HTTPS://API.Example.com/A",
                   "api.example.com",
                   443,
                   "/A",
                   "api.example.com"},
        AcceptCase{"NameThatStartsLikeAnAddress",
                   "https://10.0.0.1.a.example/x",
                   "10.0.0.1.a.example",
                   443,
                   "/x",
                   "10.0.0.1.a.example"},
        AcceptCase{"Port", "https://a:8443/x?y=1", "a", 8443, "/x?y=1", "a:8443"},
        AcceptCase{"QueryOnly", "https://a?y", "a", 443, "/?y", "a"},
        AcceptCase{"Ipv6",
                   "https://[2001:db8::1]:8200/v1",
                   "2001:db8::1",
                   8200,
                   "/v1",
                   "[2001:db8::1]:8200"},
        AcceptCase{"HttpLocalhost", "http://localhost:1/", "localhost", 1, "/", "localhost:1"},
        AcceptCase{"HttpLoopback4", "http://127.9.8.7/", "127.9.8.7", 80, "/", "127.9.8.7"},
        AcceptCase{"HttpLoopback6", "http://[::1]:80/", "::1", 80, "/", "[::1]"}),
    [](const auto& param) { return param.param.name; });

struct RejectCase {
  std::string name;
  std::string text;
  std::string message;
};

class UrlRejectTest : public testing::TestWithParam<RejectCase> {};

TEST_P(UrlRejectTest, IsRefused) {
  EXPECT_THAT(ParseHttpUrl(GetParam().text),
              FailsWith(Code::kInvalidArgument, HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    All,
    UrlRejectTest,
    testing::Values(RejectCase{"Empty", "", "cannot be read"},
                    RejectCase{"NoScheme", "api.example.com", "cannot be read"},
                    RejectCase{"OtherScheme", "ftp://a/", "scheme"},
                    RejectCase{"UserInfo", "https://u@a/", "user name"},
                    RejectCase{"UserInfoHidesHost", "https://api.example.com@evil/", "user name"},
                    RejectCase{"EmptyUserInfo", "https://@a/", "user name"},
                    RejectCase{"Fragment", "https://a/#f", "fragment"},
                    RejectCase{"NoHost", "https:///x", "host"},
                    RejectCase{"AddressWithTail", "https://127.0.0.1@a.example/", "user name"},
                    RejectCase{"Ipv6Zone", "https://[fe80::1%25eth0]/", ""},
                    RejectCase{"IpFuture", "https://[v1.x]/", "IPv6"},
                    RejectCase{"EncodedHost", "https://a%2eb/", "host"},
                    RejectCase{"PortZero", "https://a:0/", "port"},
                    RejectCase{"PortEmpty", "https://a:/", "port"},
                    RejectCase{"PortTooLarge", "https://a:65536/", "port"},
                    RejectCase{"Space", "https://a/ b", "cannot be read"},
                    RejectCase{"LineBreak", "https://a/\r\nHost: b", "cannot be read"},
                    RejectCase{"TooLong", "https://a/" + std::string(2048, 'x'), "longer"}),
    [](const auto& param) { return param.param.name; });

class JwtPlainHttpTest : public testing::TestWithParam<std::string> {};

TEST_P(JwtPlainHttpTest, JWT_21_PlainHttpIsRefusedOffLoopback) {
  EXPECT_THAT(ParseHttpUrl(GetParam()), FailsWith(Code::kInvalidArgument, HasSubstr("plain http")));
}

INSTANTIATE_TEST_SUITE_P(All,
                         JwtPlainHttpTest,
                         testing::Values("http://api.example.com/",
                                         "http://localhost.example.com/",
                                         "http://127.0.0.1.example.com/",
                                         "http://128.0.0.1/",
                                         "http://0.0.0.0/",
                                         "http://127.1/",
                                         "http://[::2]/",
                                         "http://[::ffff:10.0.0.1]/"));

}  // namespace
}  // namespace credence
