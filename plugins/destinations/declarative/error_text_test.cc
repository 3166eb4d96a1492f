#include "plugins/destinations/declarative/error_text.h"

#include <memory>
#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace credence {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

SharedSecret Secret(const std::string& text) {
  return std::make_shared<const SecretBytes>(SecretBytes::CopyOf(text));
}

std::string Fields(const std::string& json, const Secrets& secrets = {}) {
  return ErrorFields(JsonAnswer::Parse(json).value(), secrets);
}

TEST(ErrorTextTest, KeepsTheStandardFieldsOnly) {
  EXPECT_EQ(Fields(R"({"type":"error","error":{"type":"t","message":"m","x":"hidden"}})"), "t: m");
  EXPECT_EQ(Fields(R"({"error":"invalid_grant","error_description":"d","hint":"hidden"})"),
            "invalid_grant: d");
  EXPECT_EQ(Fields(R"({"errors":["first","second"]})"), "first");
  EXPECT_EQ(Fields(R"({"message":"hidden"})"), "");
  EXPECT_EQ(Fields(R"({"error":{"type":1,"message":["x"]}})"), "");
}

TEST(ErrorTextTest, CutsAndEscapes) {
  EXPECT_EQ(Fields(R"({"error":"a\nb\u001b[31m\u00e9"})"), "a\\x0ab\\x1b[31m\\xc3\\xa9");
  EXPECT_EQ(Fields(R"({"error":")" + std::string(5000, 'x') + "\"}").size(), 256U);
}

TEST(ErrorTextTest, DropsTextThatRevealsASecret) {
  const std::string token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJzcGlmZmUifQ.c2lnbmF0dXJl";
  const Secrets secrets = {Secret(token)};
  EXPECT_EQ(Fields(R"({"error":"bad token )" + token + "\"}", secrets), "");
  EXPECT_EQ(Fields(R"({"error":"near )" + token.substr(15, 20) + "\"}", secrets), "");
  EXPECT_THAT(Fields(R"({"error":"near )" + token.substr(15, 19) + "\"}", secrets),
              HasSubstr("near"));
  EXPECT_EQ(
      Fields(R"({"errors":[")" + std::string(250, 'x') + token.substr(0, 30) + "\"]}", secrets),
      "");
}

TEST(ErrorTextTest, DropsShortSecretsAsAWhole) {
  EXPECT_EQ(SafeText("the token s.12345 is bad", {Secret("s.12345")}), "");
  EXPECT_EQ(SafeText("the token s.1234 is bad", {Secret("s.12345")}), "the token s.1234 is bad");
}

TEST(RetryAfterTest, ReadsSecondsAndDates) {
  const WallTime now = FromUnixSeconds(784111777);  // Sun, 06 Nov 1994 08:49:37 GMT
  EXPECT_EQ(ParseRetryAfter("0", now), seconds(0));
  EXPECT_EQ(ParseRetryAfter("17", now), seconds(17));
  EXPECT_EQ(ParseRetryAfter("999999", now), seconds(3600));
  EXPECT_EQ(ParseRetryAfter("99999999999999999999999", now), seconds(3600));
  EXPECT_EQ(ParseRetryAfter("Sun, 06 Nov 1994 08:50:07 GMT", now), seconds(30));
  EXPECT_EQ(ParseRetryAfter("Sat, 05 Nov 1994 08:50:07 GMT", now), seconds(0));
  EXPECT_EQ(ParseRetryAfter("Sun, 06 Nov 1184 08:49:37 GMT", now), seconds(0));
  EXPECT_EQ(ParseRetryAfter("Fri, 31 Dec 9999 23:59:59 GMT", now), seconds(3600));
  for (const std::string bad :
       {"", "-1", "1.5", "soon", "Sun, 06 Xxx 1994 08:50:07 GMT", "Sun, 06 Nov 1994 08:50:07"}) {
    EXPECT_EQ(ParseRetryAfter(bad, now), std::nullopt) << bad;
  }
}

TEST(JsonAnswerTest, TakesObjectsOnly) {
  EXPECT_TRUE(JsonAnswer::Parse(R"({"a":{"b":["c"]}})").has_value());
  const std::string bad[] = {"",
                             "[]",
                             "1",
                             "\"x\"",
                             "{",
                             "{}x",
                             "<html>",
                             R"({"a":nul})",
                             std::string(5000, '['),
                             R"({"a":)" + std::string(50, '[') + std::string(50, ']') + "}"};
  for (const std::string& text : bad) {
    EXPECT_FALSE(JsonAnswer::Parse(text).has_value()) << text.substr(0, 20);
  }
}

TEST(JsonAnswerTest, FindsByPointer) {
  const auto answer = JsonAnswer::Parse(R"({"a":{"b":["c"]},"n":null,"i":1})");
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->FindText("/a/b/0"), "c");
  EXPECT_EQ(answer->FindText("/i"), "");
  EXPECT_EQ(answer->Find("/n"), nullptr);
  EXPECT_EQ(answer->Find("/a/b/7"), nullptr);
  EXPECT_EQ(answer->Find("/a/b/x"), nullptr);
  EXPECT_EQ(answer->Find("/i/x"), nullptr);
}

}  // namespace
}  // namespace credence
