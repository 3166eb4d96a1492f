#include <memory>
#include <string>
#include <utility>

#include <boost/asio/io_context.hpp>
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
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kLoggedIn =
    R"({"request_id":"r-1","auth":{"client_token":"s.12345678","accessor":"acc1","lease_duration":60,"renewable":true}})";

class OpenbaoTest : public testing::Test {
 protected:
  OpenbaoTest() : server_(io_) {
    settings_ = {{"address", server_.Url()}, {"role", "w1"}, {"audience", "bao"}};
  }

  std::unique_ptr<Destination> Configured() {
    return adapters_.at(1)->Configure(settings_).value();
  }

  ExchangeOutcome Exchange(Destination& destination) {
    JwtSvid svid{.id = SpiffeId::Parse("spiffe://example.org/w").value(),
                 .audience = {"bao"},
                 .issued_at = clock_.Now(),
                 .expires_at = clock_.Now() + seconds(300),
                 .token = std::make_shared<const SecretBytes>(
                     SecretBytes::CopyOf("head.payload.signature0123456789"))};
    return RunTask(io_, destination.Exchange(std::move(svid), {}, Deadline::After(seconds(5))));
  }

  SharedCredential LogIn(Destination& destination) {
    server_.Enqueue(HttpAnswer(200, std::string(kLoggedIn)));
    ExchangeOutcome outcome = Exchange(destination);
    EXPECT_NE(outcome.credential, nullptr) << outcome.error.message;
    return outcome.credential;
  }

  std::string_view FailureWith(int status, const std::string& body) {
    server_.Enqueue(HttpAnswer(status, body));
    const auto destination = Configured();
    return ExchangeFailureName(Exchange(*destination).error.failure);
  }

  asio::io_context io_;
  ScriptedServer server_;
  HttpClient client_;
  FakeClock clock_{FromUnixSeconds(1'790'000'000)};
  std::vector<std::unique_ptr<DestinationAdapter>> adapters_ = BuiltinAdapters(client_, clock_);
  Settings settings_;
};

TEST_F(OpenbaoTest, LogsInAndDeliversVariables) {
  settings_["mount"] = "team/jwt";
  settings_["namespace"] = "ns1";
  const auto destination = Configured();
  const SharedCredential credential = LogIn(*destination);

  EXPECT_THAT(server_.requests().at(0),
              AllOf(HasSubstr("POST /v1/auth/team/jwt/login HTTP/1.1\r\n"),
                    HasSubstr("X-Vault-Namespace: ns1\r\n"),
                    HasSubstr(R"({"role":"w1","jwt":"head.payload.signature0123456789"})")));
  EXPECT_EQ(credential->fields.at("client_token")->Reveal(), "s.12345678");
  EXPECT_EQ(credential->accessor, "acc1");
  EXPECT_EQ(credential->request_id, "r-1");
  EXPECT_TRUE(credential->renewable);
  EXPECT_EQ(credential->expires_at, clock_.Now() + seconds(60));
  const Delivery delivery = destination->Deliver(*credential, credential->expires_at);
  const auto& env = delivery.env;
  EXPECT_EQ(env.at("VAULT_TOKEN")->Reveal(), "s.12345678");
  EXPECT_EQ(env.at("BAO_ADDR")->Reveal(), server_.Url());
  EXPECT_EQ(env.at("VAULT_NAMESPACE")->Reveal(), "ns1");
  EXPECT_EQ(env.count("VAULT_CACERT"), 0U);
  EXPECT_THAT(delivery.unset,
              AllOf(Contains("VAULT_CACERT"),
                    Contains("VAULT_HTTP_PROXY"),
                    Contains("BAO_HTTP_PROXY"),
                    Not(Contains("VAULT_NAMESPACE"))));
}

TEST_F(OpenbaoTest, RenewalReplacesTheLeaseAndKeepsTheAccessor) {
  const auto destination = Configured();
  const SharedCredential credential = LogIn(*destination);
  clock_.Advance(seconds(30));
  server_.Enqueue(HttpAnswer(
      200,
      R"({"request_id":"r-2","auth":{"client_token":"s.12345678","lease_duration":50,"renewable":false}})"));

  const auto renewed = RunTask(io_, destination->Renew(credential, Deadline::After(seconds(5))));

  ASSERT_NE(renewed.credential, nullptr) << renewed.error.message;
  EXPECT_THAT(server_.requests().at(1),
              AllOf(HasSubstr("POST /v1/auth/token/renew-self HTTP/1.1\r\n"),
                    HasSubstr("X-Vault-Token: s.12345678\r\n")));
  EXPECT_EQ(renewed.credential->expires_at, clock_.Now() + seconds(50));
  EXPECT_EQ(renewed.credential->accessor, "acc1");
  EXPECT_EQ(renewed.credential->request_id, "r-2");
  EXPECT_FALSE(renewed.credential->renewable);
}

TEST_F(OpenbaoTest, RevokesTheToken) {
  const auto destination = Configured();
  const SharedCredential credential = LogIn(*destination);
  server_.Enqueue("HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_THAT(RunTask(io_, destination->Revoke(credential, Deadline::After(seconds(5)))), IsOk());
  EXPECT_THAT(server_.requests().at(1),
              AllOf(HasSubstr("POST /v1/auth/token/revoke-self HTTP/1.1\r\n"),
                    HasSubstr("X-Vault-Token: s.12345678\r\n")));

  server_.Enqueue(HttpAnswer(403, R"({"errors":["permission denied for s.12345678"]})"));
  EXPECT_THAT(RunTask(io_, destination->Revoke(credential, Deadline::After(seconds(5)))),
              FailsWith(Code::kPermissionDenied, Not(HasSubstr("12345678"))));
}

TEST_F(OpenbaoTest, ClassifiesRefusals) {
  EXPECT_EQ(
      FailureWith(400, R"({"errors":["error validating token: invalid subject (sub) claim"]})"),
      "OPAQUE_DENIED");
  EXPECT_EQ(FailureWith(403, R"({"errors":["permission denied"]})"), "POLICY_DENIED");
  EXPECT_EQ(FailureWith(404, R"({"errors":[]})"), "BAD_REQUEST");
  EXPECT_EQ(FailureWith(412, R"({"errors":[]})"), "PROPAGATION");
  EXPECT_EQ(FailureWith(429, R"({"errors":["rate limit quota exceeded"]})"), "RATE_LIMITED");
  EXPECT_EQ(FailureWith(472, "{}"), "UNAVAILABLE");
  EXPECT_EQ(FailureWith(503, R"({"errors":["Vault is sealed"]})"), "UNAVAILABLE");
  EXPECT_EQ(FailureWith(200, R"({"auth":null})"), "BAD_RESPONSE");
  EXPECT_EQ(FailureWith(200, R"({"auth":{"client_token":"s.1","lease_duration":0}})"),
            "BAD_RESPONSE");
}

TEST_F(OpenbaoTest, AudienceRoleAndAddressAreRequired) {
  EXPECT_THAT(adapters_.at(1)->Configure({}),
              FailsWith(Code::kInvalidArgument,
                        AllOf(HasSubstr("address: is missing"),
                              HasSubstr("audience: is missing"),
                              HasSubstr("role: is missing"))));
}

TEST_F(OpenbaoTest, GivesTheCommandsForMountAndRole) {
  const SetupFacts facts{.destination = "kv",
                         .subject = "spiffe://example.org/web",
                         .trust_domain = "example.org",
                         .issuer = "http://127.0.0.1:8088",
                         .jwks = "",
                         .jwk_array = "",
                         .keys_pem = "-----BEGIN PUBLIC KEY-----\nAA=="};
  settings_["address"] = "https://bao.example:8200";
  settings_["audience"] = "the bao";
  const auto text = adapters_.at(1)->Setup(settings_, facts);
  ASSERT_THAT(text, IsOk());
  EXPECT_THAT(text->lines,
              AllOf(Contains("export BAO_ADDR=https://bao.example:8200"),
                    Not(Contains(HasSubstr("BAO_NAMESPACE"))),
                    Contains("bao auth enable -path=jwt jwt"),
                    Contains("bao write auth/jwt/config oidc_discovery_url=http://127.0.0.1:8088 "
                             "bound_issuer=http://127.0.0.1:8088"),
                    Contains("bao write auth/jwt/config bound_issuer=http://127.0.0.1:8088 "
                             "jwt_validation_pubkeys='-----BEGIN PUBLIC KEY-----\nAA=='"),
                    Contains("bao write auth/jwt/role/w1 role_type=jwt user_claim=sub "
                             "bound_subject=spiffe://example.org/web bound_audiences='the bao' "
                             "token_policies=w1 token_ttl=10m token_max_ttl=1h")));
  settings_.erase("role");
  EXPECT_THAT(adapters_.at(1)->Setup(settings_, facts),
              FailsWith(Code::kInvalidArgument, HasSubstr("role: is missing")));
}

}  // namespace
}  // namespace credence
