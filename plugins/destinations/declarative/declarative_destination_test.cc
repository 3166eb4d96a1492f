#include "plugins/destinations/declarative/declarative_destination.h"

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"
#include "base/http/testing/scripted_server.h"
#include "plugins/destinations/declarative/declarative_adapter.h"

namespace credence {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kExchangeFile = R"(adapter: t
settings:
  url: {type: base_url}
  mount: {type: url_path, default: m}
params:
  workspace: {type: string, pattern: "w_[a-z]+"}
svid: {audience: [aud], max_bytes: 1024, max_lifetime: 600}
steps:
  - post: /v1/{{mount}}/token
    headers: {X-Workspace: "{{workspace?}}"}
    json: {jwt: "{{svid}}", workspace: "{{workspace?}}"}
    success: [200]
    extract:
      grant: {json: /grant, type: token}
  - get: /v1/second
    headers: {Authorization: "Bearer {{grant}}"}
    success: [200]
    extract:
      token: {json: /token, type: token}
      ttl: {json: /ttl, type: seconds}
classify: [{status: [401], class: OPAQUE_DENIED}]
expiry: {from: ttl, cap: 100, margin: 10}
credential: {fields: [token], primary: token}
deliver: {env: {TOKEN: "{{token}}", HOME_DIR: "{{dir}}/x", UNTIL: "{{expires_at_unix}}"}, unset: [TOKEN, OTHER]}
)";

class DeclarativeDestinationTest : public testing::Test {
 protected:
  DeclarativeDestinationTest() : server_(io_) {
    adapter_ = MakeDeclarativeAdapter(kExchangeFile, "t.yaml", client_, clock_).value();
    destination_ = adapter_->Configure({{"url", server_.Url() + "/base/"}}).value();
  }

  JwtSvid Svid() {
    return JwtSvid{.id = SpiffeId::Parse("spiffe://example.org/w").value(),
                   .audience = {"aud"},
                   .issued_at = clock_.Now(),
                   .expires_at = clock_.Now() + seconds(300),
                   .token = std::make_shared<const SecretBytes>(
                       SecretBytes::CopyOf("head.payload.signature0123456789"))};
  }

  ExchangeOutcome Exchange(JwtSvid svid,
                           Settings parameters = {},
                           milliseconds timeout = milliseconds(5000)) {
    return RunTask(
        io_,
        destination_->Exchange(std::move(svid), std::move(parameters), Deadline::After(timeout)));
  }

  void EnqueueSuccess(const std::string& ttl) {
    server_.Enqueue(HttpAnswer(200, R"({"grant":"g1"})"));
    server_.Enqueue(HttpAnswer(200, R"({"token":"t1","ttl":)" + ttl + "}"));
  }

  asio::io_context io_;
  ScriptedServer server_;
  HttpClient client_;
  FakeClock clock_{FromUnixSeconds(1'000'000)};
  std::unique_ptr<DestinationAdapter> adapter_;
  std::unique_ptr<Destination> destination_;
};

TEST_F(DeclarativeDestinationTest, RunsStepsInOrder) {
  EnqueueSuccess("60");
  const ExchangeOutcome outcome = Exchange(Svid(), {{"workspace", "w_a"}});

  ASSERT_NE(outcome.credential, nullptr) << outcome.error.message;
  EXPECT_EQ(outcome.credential->fields.at("token")->Reveal(), "t1");
  EXPECT_EQ(outcome.credential->expires_at, clock_.Now() + seconds(50));
  const Delivery delivery = destination_->Deliver(*outcome.credential, clock_.Now() + seconds(7));
  EXPECT_EQ(delivery.env.at("TOKEN")->Reveal(), "t1");
  EXPECT_EQ(delivery.env.at("HOME_DIR")->Reveal(), "{{dir}}/x");
  EXPECT_EQ(delivery.env.at("UNTIL")->Reveal(), "1000007");
  EXPECT_THAT(delivery.unset, ElementsAre("OTHER"));
  ASSERT_EQ(server_.requests().size(), 2U);
  EXPECT_THAT(server_.requests()[0], HasSubstr("POST /base/v1/m/token HTTP/1.1\r\n"));
  EXPECT_THAT(server_.requests()[0], HasSubstr("X-Workspace: w_a\r\n"));
  EXPECT_THAT(server_.requests()[0],
              HasSubstr(R"({"jwt":"head.payload.signature0123456789","workspace":"w_a"})"));
  EXPECT_THAT(server_.requests()[1], HasSubstr("GET /base/v1/second HTTP/1.1\r\n"));
  EXPECT_THAT(server_.requests()[1], HasSubstr("Authorization: Bearer g1\r\n"));
  EXPECT_THAT(server_.requests()[1], Not(HasSubstr("head.payload")));
}

TEST_F(DeclarativeDestinationTest, UnsetOptionalParametersVanish) {
  EnqueueSuccess("60");
  ASSERT_NE(Exchange(Svid()).credential, nullptr);
  EXPECT_THAT(server_.requests()[0], Not(HasSubstr("orkspace")));
}

TEST_F(DeclarativeDestinationTest, LifeIsCappedAndTooShortIsRefused) {
  EnqueueSuccess("5000");
  EXPECT_EQ(Exchange(Svid()).credential->expires_at, clock_.Now() + seconds(100));
  EnqueueSuccess("10");
  EXPECT_EQ(Exchange(Svid()).error.failure, ExchangeFailure::kBadResponse);
}

TEST_F(DeclarativeDestinationTest, WrongParametersAndSvidsNeverLeave) {
  EXPECT_EQ(Exchange(Svid(), {{"workspace", "x"}}).error.failure, ExchangeFailure::kBadRequest);
  EXPECT_EQ(Exchange(Svid(), {{"url", "https://evil.example"}}).error.failure,
            ExchangeFailure::kBadRequest);
  JwtSvid other = Svid();
  other.audience = {"other"};
  EXPECT_THAT(Exchange(std::move(other)).error.message, HasSubstr("audience"));
  JwtSvid lasting = Svid();
  lasting.expires_at += seconds(301);
  EXPECT_THAT(Exchange(std::move(lasting)).error.message, HasSubstr("lives longer"));
  JwtSvid large = Svid();
  large.token = std::make_shared<const SecretBytes>(SecretBytes::CopyOf(std::string(1025, 'x')));
  EXPECT_THAT(Exchange(std::move(large)).error.message, HasSubstr("at most 1024"));
  EXPECT_EQ(server_.connections(), 0U);
}

TEST_F(DeclarativeDestinationTest, WhatCannotBeRenewedOrRevokedSaysSo) {
  EnqueueSuccess("60");
  const SharedCredential credential = Exchange(Svid()).credential;
  ASSERT_NE(credential, nullptr);
  const auto renewed = RunTask(io_, destination_->Renew(credential, Deadline::After(seconds(1))));
  EXPECT_EQ(renewed.error.failure, ExchangeFailure::kBadRequest);
  EXPECT_THAT(RunTask(io_, destination_->Revoke(credential, Deadline::After(seconds(1)))),
              FailsWithCode(Code::kUnimplemented));
}

ScriptedAnswer Scripted(std::string bytes,
                        ScriptedAnswer::Ending ending = ScriptedAnswer::Ending::kClose) {
  ScriptedAnswer answer;
  answer.bytes = std::move(bytes);
  answer.ending = ending;
  return answer;
}

TEST_F(DeclarativeDestinationTest, AServerThatHangsLeavesTheOutcomeUnknown) {
  // As long as it takes for the request to get there: a loaded machine is slow.
  for (milliseconds timeout(250); server_.requests().empty(); timeout *= 4) {
    ASSERT_LT(timeout, seconds(15));
    server_.Enqueue(Scripted("", ScriptedAnswer::Ending::kHang));
    const ExchangeOutcome outcome = Exchange(Svid(), {}, timeout);
    EXPECT_EQ(outcome.credential, nullptr);
    EXPECT_EQ(ExchangeFailureName(outcome.error.failure), "UNAVAILABLE");
    if (!server_.requests().empty()) {
      EXPECT_THAT(outcome.error.message, HasSubstr("unknown"));
    }
  }
}

struct FailureCase {
  std::string name;
  ScriptedAnswer answer;
  ExchangeFailure failure;
  std::string message;
};

ScriptedAnswer TenMegabytes() {
  ScriptedAnswer answer =
      Scripted("HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n" + std::string(100'000, 'x'));
  answer.repeat = 100;
  return answer;
}

class DestinationFailureTest : public DeclarativeDestinationTest,
                               public testing::WithParamInterface<FailureCase> {};

TEST_P(DestinationFailureTest, IsOneClassWithOneRequest) {
  server_.Enqueue(GetParam().answer);
  const ExchangeOutcome outcome = Exchange(Svid(), {}, seconds(15));
  EXPECT_EQ(outcome.credential, nullptr);
  EXPECT_EQ(ExchangeFailureName(outcome.error.failure), ExchangeFailureName(GetParam().failure));
  EXPECT_THAT(outcome.error.message, HasSubstr(GetParam().message));
  EXPECT_EQ(server_.connections(), 1U);
}

INSTANTIATE_TEST_SUITE_P(
    All,
    DestinationFailureTest,
    testing::Values(
        FailureCase{"ResetAfterRequest",
                    Scripted("", ScriptedAnswer::Ending::kReset),
                    ExchangeFailure::kUnavailable,
                    "unknown"},
        FailureCase{"ClosedWithoutAnswer", Scripted(""), ExchangeFailure::kUnavailable, "unknown"},
        FailureCase{"Truncated",
                    Scripted("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"grant\":"),
                    ExchangeFailure::kBadResponse,
                    "stops in the middle"},
        FailureCase{"TenMegabytes", TenMegabytes(), ExchangeFailure::kBadResponse, "too large"},
        FailureCase{"Html",
                    Scripted(HttpAnswer(200, "<html>")),
                    ExchangeFailure::kBadResponse,
                    "not a JSON object"},
        FailureCase{"Garbage",
                    Scripted("SSH-2.0-x\r\n\r\n"),
                    ExchangeFailure::kBadResponse,
                    "not valid HTTP"},
        FailureCase{"Redirect",
                    Scripted(HttpAnswer(307, "", "Location: /elsewhere\r\n")),
                    ExchangeFailure::kBadResponse,
                    "HTTP 307"},
        FailureCase{"RateLimit",
                    Scripted(HttpAnswer(429, "{}", "Retry-After: 3\r\n")),
                    ExchangeFailure::kRateLimited,
                    "HTTP 429"},
        FailureCase{"ServerError",
                    Scripted(HttpAnswer(500, "oops")),
                    ExchangeFailure::kUnavailable,
                    "HTTP 500"},
        FailureCase{"Denied",
                    Scripted(HttpAnswer(401, R"({"error":"no"})")),
                    ExchangeFailure::kOpaqueDenied,
                    "HTTP 401: no"}),
    [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace credence
