#include "plugins/destinations/declarative/answer_reader.h"

#include <limits>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kFile = R"(adapter: t
settings: {url: {type: base_url, default: "https://a.example"}}
svid: {audience: [a]}
steps:
  - post: /t
    success: [200]
    extract:
      token: {json: /token, type: token}
      kind: {json: /kind, type: text, optional: true}
      ttl: {json: /ttl, type: seconds}
      more: {header: x-more, type: text, optional: true}
    expect:
      token: {prefix: ok-}
      kind: {equals_ci: bearer}
      ttl: {min: 10, max: 1000}
request_id: [{header: request-id}, {json: /request_id}]
classify:
  - {status: [400], json: {/error: invalid_grant}, class: OPAQUE_DENIED}
  - {status: [400], class: BAD_REQUEST}
  - {status: [401, 403], class: POLICY_DENIED}
  - {status: [412], class: PROPAGATION}
expiry: {from: ttl}
credential: {fields: [token], primary: token}
deliver: {}
)";

class AnswerReaderTest : public testing::Test {
 protected:
  StepAnswer Read(int status,
                  std::string_view body,
                  std::vector<std::pair<std::string, std::string>> headers = {}) {
    HttpResponse response;
    response.status = status;
    response.body = SecretBytes::CopyOf(body);
    response.headers = std::move(headers);
    return ReadAnswer(file_, file_.steps[0], response, secrets_, FromUnixSeconds(1'000'000));
  }

  ExchangeFailure FailureOf(int status, std::string_view body) {
    const StepAnswer answer = Read(status, body);
    EXPECT_TRUE(answer.error.has_value()) << status << body;
    EXPECT_TRUE(answer.values.empty());
    return answer.error.value_or(ExchangeError()).failure;
  }

  const std::string svid_ = "eyJhbGciOiJSUzI1NiJ9.cGF5bG9hZA.c2lnbmF0dXJlc2lnbmF0dXJl";
  AdapterFile file_ = ParseAdapterFile(kFile, "t.yaml").value();
  Secrets secrets_ = {std::make_shared<const SecretBytes>(SecretBytes::CopyOf(svid_))};
};

TEST_F(AnswerReaderTest, ExtractsValues) {
  const StepAnswer answer = Read(200,
                                 R"({"token":"ok-1","kind":"Bearer","ttl":60,"request_id":"r2"})",
                                 {{"X-More", "m"}, {"Request-Id", "r1"}});
  ASSERT_FALSE(answer.error.has_value());
  EXPECT_EQ(answer.values.at("token").Reveal(), "ok-1");
  EXPECT_EQ(answer.values.at("ttl").text, "60");
  EXPECT_EQ(answer.values.at("more").text, "m");
  EXPECT_EQ(answer.request_id, "r1");
}

TEST_F(AnswerReaderTest, OptionalValuesMayBeAbsentOrNull) {
  EXPECT_FALSE(Read(200, R"({"token":"ok-1","ttl":60})").error.has_value());
  EXPECT_FALSE(Read(200, R"({"token":"ok-1","kind":null,"ttl":60})").error.has_value());
}

TEST_F(AnswerReaderTest, AnAnswerThatCannotBeUsedIsBadResponse) {
  const std::string bodies[] = {"",
                                "<html>hello</html>",
                                "[]",
                                "{}",
                                R"({"token":"ok-1"})",
                                R"({"token":"ok-1","ttl":"60"})",
                                R"({"token":"ok-1","ttl":60.5})",
                                R"({"token":"ok-1","ttl":-60})",
                                R"({"token":"ok-1","ttl":0})",
                                R"({"token":"ok-1","ttl":1e300})",
                                R"({"token":"ok-1","ttl":99999999999999999999})",
                                R"({"token":"ok-1","ttl":9223372036854775807})",
                                R"({"token":"ok-1","ttl":9})",
                                R"({"token":"ok-1","ttl":1001})",
                                R"({"token":"no-1","ttl":60})",
                                R"({"token":"","ttl":60})",
                                R"({"token":"ok- 1","ttl":60})",
                                R"({"token":"ok-\u0000","ttl":60})",
                                R"({"token":["ok-1"],"ttl":60})",
                                R"({"token":"ok-1","kind":"mac","ttl":60})",
                                R"({"token":"ok-1","kind":7,"ttl":60})",
                                R"({"token":"ok-)" + std::string(20'000, 'x') + R"(","ttl":60})",
                                R"({"token":"ok-1","kind":")" + svid_ + R"(","ttl":60})"};
  for (const std::string& body : bodies) {
    EXPECT_EQ(FailureOf(200, body), ExchangeFailure::kBadResponse) << body.substr(0, 60);
  }
}

TEST_F(AnswerReaderTest, RulesApplyInOrder) {
  EXPECT_EQ(FailureOf(400, R"({"error":"invalid_grant"})"), ExchangeFailure::kOpaqueDenied);
  EXPECT_EQ(FailureOf(400, R"({"error":"other"})"), ExchangeFailure::kBadRequest);
  EXPECT_EQ(FailureOf(403, "{}"), ExchangeFailure::kPolicyDenied);
  EXPECT_EQ(FailureOf(412, ""), ExchangeFailure::kPropagation);
}

TEST_F(AnswerReaderTest, DefaultsByStatus) {
  EXPECT_EQ(FailureOf(429, "slow down"), ExchangeFailure::kRateLimited);
  EXPECT_EQ(FailureOf(500, "{}"), ExchangeFailure::kUnavailable);
  EXPECT_EQ(FailureOf(503, "<html>"), ExchangeFailure::kUnavailable);
  EXPECT_EQ(FailureOf(302, ""), ExchangeFailure::kBadResponse);
  EXPECT_EQ(FailureOf(404, "{}"), ExchangeFailure::kBadResponse);
  EXPECT_EQ(FailureOf(204, ""), ExchangeFailure::kBadResponse);
}

TEST_F(AnswerReaderTest, HtmlIsNoVerdict) {
  EXPECT_EQ(FailureOf(403, "<html>blocked</html>"), ExchangeFailure::kBadResponse);
  EXPECT_EQ(FailureOf(400, "Bad Request"), ExchangeFailure::kBadResponse);
}

TEST_F(AnswerReaderTest, MessagesNeverHoldTheSvid) {
  const StepAnswer answer =
      Read(400,
           R"({"error":"invalid_grant","error_description":"not valid: )" + svid_ + "\"}",
           {{"request-id", svid_}});
  ASSERT_TRUE(answer.error.has_value());
  EXPECT_EQ(answer.error->message, "HTTP 400");
  EXPECT_EQ(answer.error->request_id, "");
}

TEST_F(AnswerReaderTest, ErrorsCarryRequestIdAndRetryAfter) {
  const StepAnswer answer = Read(429,
                                 R"({"error":{"type":"rate_limit_error","message":"slow"}})",
                                 {{"retry-after", "7"}, {"request-id", "r9"}});
  ASSERT_TRUE(answer.error.has_value());
  EXPECT_EQ(answer.error->message, "HTTP 429: rate_limit_error: slow");
  EXPECT_EQ(answer.error->request_id, "r9");
  EXPECT_EQ(answer.error->retry_after, std::chrono::seconds(7));
}

TEST_F(AnswerReaderTest, ARequestIdThatIsNoneIsDropped) {
  EXPECT_EQ(Read(500, "{}", {{"request-id", "a\x1b[31m"}}).error->request_id, "");
  EXPECT_EQ(Read(500, "{}", {{"request-id", std::string(500, 'r')}}).error->request_id, "");
}

TEST_F(AnswerReaderTest, NoAnswerIsUnavailableOrBadResponse) {
  const auto failure = [&](Code code, RequestFate fate) {
    return *ReadFailure(file_, Error(code, "why"), fate).error;
  };
  EXPECT_EQ(failure(Code::kUnavailable, RequestFate::kNotSent).failure,
            ExchangeFailure::kUnavailable);
  EXPECT_EQ(failure(Code::kUnavailable, RequestFate::kNotSent).message, "why");
  EXPECT_THAT(failure(Code::kDeadlineExceeded, RequestFate::kSent).message, HasSubstr("unknown"));
  EXPECT_EQ(failure(Code::kDeadlineExceeded, RequestFate::kSent).failure,
            ExchangeFailure::kUnavailable);
  EXPECT_EQ(failure(Code::kDataLoss, RequestFate::kSent).failure, ExchangeFailure::kBadResponse);
  EXPECT_EQ(failure(Code::kOutOfRange, RequestFate::kSent).failure, ExchangeFailure::kBadResponse);
  EXPECT_EQ(failure(Code::kInvalidArgument, RequestFate::kNotSent).failure,
            ExchangeFailure::kBadRequest);
}

}  // namespace
}  // namespace credence
