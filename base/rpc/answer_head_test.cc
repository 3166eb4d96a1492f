#include "base/rpc/answer_head.h"

#include <initializer_list>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using Fields = std::initializer_list<std::pair<const char*, const char*>>;
constexpr bool kEnds = true;

std::optional<RpcVerdict> Judge(const Fields& fields, bool ends_stream) {
  AnswerHead head;
  head.Begin();
  for (const auto& [name, value] : fields) {
    EXPECT_TRUE(head.Add(name, value));
  }
  return head.End(ends_stream);
}

TEST(AnswerHeadTest, GoodHeadersDecideNothing) {
  for (const char* type : {"application/grpc", "application/grpc+proto", "application/grpc;x=y"}) {
    EXPECT_FALSE(Judge({{":status", "200"}, {"content-type", type}}, !kEnds)) << type;
  }
  EXPECT_FALSE(Judge({{":status", "103"}}, !kEnds));
}

TEST(AnswerHeadTest, TrailersCarryTheStatus) {
  EXPECT_THAT(Judge({{"grpc-status", "0"}}, kEnds)->result, IsOk());
  const auto verdict = Judge({{"grpc-status", "7"},
                              {"grpc-message", "not%20you%C3%A4"},
                              {"grpc-status-details-bin", "YQ"}},
                             kEnds);
  EXPECT_THAT(verdict->result, FailsWith(Code::kPermissionDenied, "not you\xc3\xa4"));
  EXPECT_EQ(verdict->details, "a");
}

TEST(AnswerHeadTest, EveryCanonicalCodeKeepsItsNumber) {
  for (int number = 1; number <= 16; ++number) {
    const std::string text = std::to_string(number);
    EXPECT_THAT(Judge({{"grpc-status", text.c_str()}}, kEnds)->result,
                FailsWith(static_cast<Code>(number), "the server gave no reason"));
  }
}

TEST(AnswerHeadTest, OddStatusIsUnknown) {
  for (const char* text : {"17", "-1", "", "x", "99999999999999", "0x0", "+0", " 0"}) {
    EXPECT_THAT(Judge({{"grpc-status", text}}, kEnds)->result, FailsWithCode(Code::kUnknown))
        << text;
  }
}

TEST(AnswerHeadTest, TrailersAloneAreAnAnswer) {
  EXPECT_THAT(
      Judge({{":status", "200"}, {"content-type", "application/grpc"}, {"grpc-status", "5"}}, kEnds)
          ->result,
      FailsWithCode(Code::kNotFound));
}

TEST(AnswerHeadTest, WithoutStatusHttpDecides) {
  const std::pair<const char*, Code> cases[] = {{"400", Code::kInternal},
                                                {"401", Code::kUnauthenticated},
                                                {"403", Code::kPermissionDenied},
                                                {"404", Code::kUnimplemented},
                                                {"429", Code::kUnavailable},
                                                {"502", Code::kUnavailable},
                                                {"503", Code::kUnavailable},
                                                {"504", Code::kUnavailable},
                                                {"500", Code::kUnknown},
                                                {"418", Code::kUnknown}};
  for (const auto& [http, code] : cases) {
    EXPECT_THAT(Judge({{":status", http}}, kEnds)->result, FailsWithCode(code)) << http;
    EXPECT_THAT(Judge({{":status", http}}, !kEnds)->result, FailsWithCode(code)) << http;
  }
}

TEST(AnswerHeadTest, AnotherContentTypeIsRefused) {
  for (const char* type : {"text/html", "application/grpc-web", "application/json"}) {
    EXPECT_THAT(Judge({{":status", "200"}, {"content-type", type}}, !kEnds)->result,
                FailsWithCode(Code::kUnknown))
        << type;
  }
  EXPECT_THAT(Judge({{":status", "200"}}, !kEnds)->result, FailsWithCode(Code::kUnknown));
}

TEST(AnswerHeadTest, EndWithoutStatusIsUnknown) {
  EXPECT_THAT(Judge({{"x", "y"}}, kEnds)->result, FailsWithCode(Code::kUnknown));
}

TEST(AnswerHeadTest, LongMessagesAreCutAndBadDetailsDropped) {
  const std::string message(5000, 'x');
  const auto verdict = Judge(
      {{"grpc-status", "3"}, {"grpc-message", message.c_str()}, {"grpc-status-details-bin", "?"}},
      kEnds);
  EXPECT_THAT(verdict->result, FailsWith(Code::kInvalidArgument, testing::SizeIs(1024)));
  EXPECT_EQ(verdict->details, "");
}

TEST(AnswerHeadTest, MessagesCarryNothingForATerminalAndStayUtf8) {
  EXPECT_THAT(Judge({{"grpc-status", "3"}, {"grpc-message", "%1b[2J%ff"}}, kEnds)->result,
              FailsWith(Code::kInvalidArgument, "?[2J?"));
  const std::string cut = std::string(1023, 'x') + "%C3%A4";
  EXPECT_THAT(Judge({{"grpc-status", "3"}, {"grpc-message", cut.c_str()}}, kEnds)->result,
              FailsWith(Code::kInvalidArgument, std::string(1023, 'x') + "?"));
}

TEST(AnswerHeadTest, ABlockIsBounded) {
  AnswerHead head;
  head.Begin();
  EXPECT_TRUE(head.Add("a", std::string(30000, 'x')));
  EXPECT_FALSE(head.Add("b", std::string(3000, 'x')));
  head.Begin();
  EXPECT_TRUE(head.Add("b", std::string(3000, 'x')));
}

TEST(VerdictOfResetTest, MapsErrorCodes) {
  EXPECT_THAT(VerdictOfReset(NGHTTP2_REFUSED_STREAM).result, FailsWithCode(Code::kUnavailable));
  EXPECT_THAT(VerdictOfReset(NGHTTP2_CANCEL).result, FailsWithCode(Code::kCancelled));
  EXPECT_THAT(VerdictOfReset(NGHTTP2_ENHANCE_YOUR_CALM).result,
              FailsWithCode(Code::kResourceExhausted));
  EXPECT_THAT(VerdictOfReset(NGHTTP2_INADEQUATE_SECURITY).result,
              FailsWithCode(Code::kPermissionDenied));
  EXPECT_THAT(VerdictOfReset(NGHTTP2_PROTOCOL_ERROR).result, FailsWithCode(Code::kInternal));
  EXPECT_THAT(VerdictOfReset(4711).result, FailsWithCode(Code::kInternal));
}

}  // namespace
}  // namespace credence
