#include <memory>
#include <string>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"
#include "base/http/testing/scripted_server.h"
#include "plugins/destinations/builtin_adapters.h"

namespace credence {
namespace {

using std::chrono::seconds;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

constexpr std::string_view kOrganization = "01234567-89ab-cdef-0123-456789abcdef";
constexpr std::string_view kSvid = "head.payload.signature0123456789";

class AnthropicTest : public testing::Test {
 protected:
  AnthropicTest() : server_(io_) {
    settings_ = {{"base_url", server_.Url()},
                 {"federation_rule_id", "fdrl_rule1"},
                 {"organization_id", std::string(kOrganization)},
                 {"service_account_id", "svac_account1"}};
  }

  const DestinationAdapter& adapter() { return *adapters_.at(0); }

  ExchangeOutcome Exchange() {
    auto destination = adapter().Configure(settings_).value();
    JwtSvid svid{.id = SpiffeId::Parse("spiffe://example.org/w").value(),
                 .audience = {"https://api.anthropic.com"},
                 .issued_at = clock_.Now(),
                 .expires_at = clock_.Now() + seconds(300),
                 .token = std::make_shared<const SecretBytes>(SecretBytes::CopyOf(kSvid))};
    return RunTask(io_, destination->Exchange(std::move(svid), {}, Deadline::After(seconds(5))));
  }

  ExchangeOutcome ExchangeWith(int status, const std::string& body) {
    server_.Enqueue(HttpAnswer(status, body, "request-id: req_1\r\n"));
    return Exchange();
  }

  std::string_view FailureWith(int status, const std::string& body) {
    const ExchangeOutcome outcome = ExchangeWith(status, body);
    EXPECT_EQ(outcome.credential, nullptr) << body;
    return outcome.credential == nullptr ? ExchangeFailureName(outcome.error.failure) : "none";
  }

  asio::io_context io_;
  ScriptedServer server_;
  HttpClient client_;
  FakeClock clock_{FromUnixSeconds(1'790'000'000)};
  std::vector<std::unique_ptr<DestinationAdapter>> adapters_ = BuiltinAdapters(client_, clock_);
  Settings settings_;
};

constexpr std::string_view kGranted =
    R"({"access_token":"sk-ant-oat01-abc","token_type":"Bearer","expires_in":600,"scope":"workspace:inference"})";

TEST_F(AnthropicTest, SendsExactlyWhatTheVendorDocuments) {
  ASSERT_NE(ExchangeWith(200, std::string(kGranted)).credential, nullptr);
  const std::string& request = server_.requests().at(0);
  EXPECT_THAT(request,
              AllOf(HasSubstr("POST /v1/oauth/token HTTP/1.1\r\n"),
                    HasSubstr("anthropic-beta: oauth-2025-04-20,oidc-federation-2026-04-01\r\n"),
                    HasSubstr("Content-Type: application/json\r\n"),
                    Not(HasSubstr("Authorization")),
                    Not(HasSubstr("Cookie"))));
  const auto body = boost::json::parse(request.substr(request.find("\r\n\r\n") + 4));
  const auto expected =
      boost::json::parse(R"({"grant_type":"urn:ietf:params:oauth:grant-type:jwt-bearer",
      "assertion":"head.payload.signature0123456789","federation_rule_id":"fdrl_rule1",
      "organization_id":"01234567-89ab-cdef-0123-456789abcdef","service_account_id":"svac_account1"})");
  EXPECT_EQ(body, expected);
}

TEST_F(AnthropicTest, WorkspaceIsSentOnlyWhenSet) {
  settings_["workspace_id"] = "wrkspc_1";
  settings_.erase("service_account_id");
  ASSERT_NE(ExchangeWith(200, std::string(kGranted)).credential, nullptr);
  EXPECT_THAT(server_.requests().at(0), HasSubstr(R"("workspace_id":"wrkspc_1")"));
  EXPECT_THAT(server_.requests().at(0), Not(HasSubstr("service_account_id")));
}

TEST_F(AnthropicTest, DeliversAProfileThatSdksOnlyRead) {
  const ExchangeOutcome outcome = ExchangeWith(200, std::string(kGranted));
  ASSERT_NE(outcome.credential, nullptr);
  const Credential& credential = *outcome.credential;
  EXPECT_EQ(credential.request_id, "req_1");
  EXPECT_EQ(credential.primary_field, "access_token");
  EXPECT_FALSE(credential.renewable);
  EXPECT_EQ(ToUnixSeconds(credential.expires_at), 1'790'000'595);

  // A grant may hand it out for less than the vendor gave.
  const Delivery delivery =
      adapter().Configure(settings_).value()->Deliver(credential, FromUnixSeconds(1'790'000'300));
  EXPECT_EQ(delivery.env.at("ANTHROPIC_CONFIG_DIR")->Reveal(), "{{dir}}");
  EXPECT_EQ(delivery.env.at("ANTHROPIC_PROFILE")->Reveal(), "credence");
  EXPECT_THAT(delivery.unset, AllOf(Contains("ANTHROPIC_API_KEY"), Contains("ANTHROPIC_BASE_URL")));
  EXPECT_EQ(delivery.unset.size(), 10U);
  ASSERT_EQ(delivery.files.size(), 3U);
  EXPECT_EQ(delivery.files[0].path, "configs/credence.json");
  EXPECT_EQ(delivery.files[0].mode, 0644U);
  EXPECT_EQ(boost::json::parse(std::string(delivery.files[0].content->Reveal())),
            boost::json::parse(
                R"({"version":"1.0","authentication":{"type":"user_oauth"},"organization_id":")" +
                std::string(kOrganization) + R"(","base_url":")" + server_.Url() + "\"}"));
  EXPECT_EQ(delivery.files[1].path, "credentials/credence.json");
  EXPECT_EQ(delivery.files[1].mode, 0600U);
  EXPECT_EQ(
      delivery.files[1].content->Reveal(),
      R"({"version":"1.0","type":"oauth_token","access_token":"sk-ant-oat01-abc","expires_at":1790000300})");
  EXPECT_EQ(delivery.files[2].path, "active_config");
  EXPECT_EQ(delivery.files[2].content->Reveal(), "credence");
}

TEST_F(AnthropicTest, UnderstandsBothGenerationsOfErrors) {
  EXPECT_EQ(FailureWith(
                400, R"({"type":"error","error":{"type":"invalid_request_error","message":"m"}})"),
            "BAD_REQUEST");
  EXPECT_EQ(
      FailureWith(
          401,
          R"({"type":"error","error":{"type":"authentication_error","message":"Authentication failed"}})"),
      "OPAQUE_DENIED");
  EXPECT_EQ(FailureWith(400, R"({"error":"invalid_request"})"), "BAD_REQUEST");
  EXPECT_EQ(FailureWith(400, R"({"error":"workspace_id_required"})"), "BAD_REQUEST");
  EXPECT_EQ(FailureWith(400, R"({"error":"invalid_grant"})"), "OPAQUE_DENIED");
  EXPECT_EQ(
      FailureWith(404, R"({"type":"error","error":{"type":"not_found_error","message":"m"}})"),
      "BAD_REQUEST");
  EXPECT_EQ(FailureWith(429, "{}"), "RATE_LIMITED");
  EXPECT_EQ(FailureWith(500, "{}"), "UNAVAILABLE");
  EXPECT_EQ(FailureWith(529, "<html>"), "UNAVAILABLE");
  EXPECT_EQ(FailureWith(403, "<html>"), "BAD_RESPONSE");
}

TEST_F(AnthropicTest, RefusesAnswersThatAreNotATokenOfItsKind) {
  EXPECT_EQ(
      FailureWith(200,
                  R"({"access_token":"sk-ant-api03-abc","token_type":"Bearer","expires_in":600})"),
      "BAD_RESPONSE");
  EXPECT_EQ(FailureWith(
                200, R"({"access_token":"sk-ant-oat01-abc","token_type":"mac","expires_in":600})"),
            "BAD_RESPONSE");
  EXPECT_EQ(FailureWith(200, R"({"access_token":"sk-ant-oat01-abc","token_type":"Bearer"})"),
            "BAD_RESPONSE");
  EXPECT_EQ(FailureWith(200, R"({"access_token":"sk-ant-oat01-abc","expires_in":-1})"),
            "BAD_RESPONSE");
  EXPECT_EQ(FailureWith(200, R"({"access_token":"sk-ant-oat01-abc","expires_in":86401})"),
            "BAD_RESPONSE");
}

TEST_F(AnthropicTest, TokenTypeMayBeAbsentOrInAnyCase) {
  EXPECT_NE(ExchangeWith(200, R"({"access_token":"sk-ant-oat01-a","expires_in":60})").credential,
            nullptr);
  EXPECT_NE(ExchangeWith(
                200, R"({"access_token":"sk-ant-oat01-a","token_type":"bEARER","expires_in":60})")
                .credential,
            nullptr);
}

TEST_F(AnthropicTest, NeedsTheVendorsAudienceUnlessTheRuleNamesAnother) {
  EXPECT_THAT(adapter().Configure(settings_).value()->svid_needs().audience,
              ElementsAre("https://api.anthropic.com"));
  settings_["audience"] = "claude";
  EXPECT_THAT(adapter().Configure(settings_).value()->svid_needs().audience, ElementsAre("claude"));
  EXPECT_EQ(adapter().Configure(settings_).value()->svid_needs().max_bytes, 16384U);
  EXPECT_EQ(adapter().Configure(settings_).value()->svid_needs().max_lifetime, seconds(3600));
}

TEST_F(AnthropicTest, NamesEveryMistakeInItsSettings) {
  const auto destination = adapter().Configure(
      {{"federation_rule_id", "rule"}, {"base_url", "http://example.org"}, {"token", "x"}});
  EXPECT_THAT(destination,
              FailsWith(Code::kInvalidArgument,
                        AllOf(HasSubstr("federation_rule_id: expected the id of a "
                                        "federation rule, fdrl_..., found \"rule\""),
                              HasSubstr("base_url: expected an https URL"),
                              HasSubstr("organization_id: is missing"),
                              HasSubstr("token: unknown setting"))));
}

TEST_F(AnthropicTest, SaysWhatAFederationRuleNeedsBeforeItsIdIsKnown) {
  SetupFacts facts{.destination = "claude",
                   .subject = "spiffe://example.org/web",
                   .trust_domain = "example.org",
                   .issuer = "https://issuer.example",
                   .jwks = R"({"keys":[{}]})",
                   .jwk_array = "[{}]",
                   .keys_pem = "pem"};
  const auto text = adapter().Setup({}, facts);
  ASSERT_THAT(text, IsOk());
  EXPECT_THAT(text->audience, ElementsAre("https://api.anthropic.com"));
  EXPECT_THAT(
      text->lines,
      AllOf(Contains("     issuer_url                https://issuer.example"),
            Contains("     match.subject_prefix      spiffe://example.org/web"),
            Contains("     match.audience            https://api.anthropic.com"),
            Contains(R"(     jwks                      {"type": "inline", "keys": [{}]})"),
            Contains(HasSubstr(R"({"type": "discovery"} if https://issuer.example can be)"))));
  facts.issuer = "http://127.0.0.1:8088";
  EXPECT_THAT(adapter().Setup({}, facts)->lines, Not(Contains(HasSubstr("discovery"))));
}

TEST_F(AnthropicTest, NeedsAnIssuerAndAKnownAlgorithm) {
  const auto destination = adapter().Configure(settings_).value();
  EXPECT_TRUE(destination->svid_needs().issuer_required);
  EXPECT_THAT(destination->svid_needs().algorithms, Contains("PS512"));
  EXPECT_EQ(destination->address().origin, server_.Url());
}

}  // namespace
}  // namespace credence
