#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "agent/cli/check/destination_check.h"
#include "agent/cli/check/svid_checks.h"
#include "agent/cli/check/vendor_checks.h"
#include "agent/cli/testing/fake_agent.h"
#include "agent/cli/testing/run_command.h"
#include "base/http/server_message.h"
#include "base/http/testing/scripted_server.h"
#include "base/svid/jwt_issuing.h"
#include "base/svid/testing/test_authority.h"

namespace credence {
namespace {

using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

/// A scripted server whose loop runs on a thread of its own, since the checks block.
class ServerAside {
 public:
  ServerAside() : server_(io_), thread_([this] { io_.run(); }) {}
  ~ServerAside() {
    guard_.reset();
    io_.stop();
    thread_.join();
  }
  ServerAside(const ServerAside&) = delete;
  ServerAside& operator=(const ServerAside&) = delete;

  std::string url() const { return server_.Url(); }
  /// To be called before the server is asked. The check of the TCP connection takes one as well.
  void Enqueue(const std::string& bytes) {
    asio::post(io_, [this, bytes] { server_.Enqueue(bytes); });
  }

 private:
  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> guard_ = asio::make_work_guard(io_);
  ScriptedServer server_;
  std::thread thread_;
};

std::string TokenOf(const std::string& issuer, seconds life = seconds(300)) {
  const WallTime now = SystemClock().Now();
  const auto token = SignJwtSvid({.subject = *SpiffeId::Parse("spiffe://example.org/web"),
                                  .audience = {"vendor"},
                                  .issued_at = now,
                                  .expires_at = now + life,
                                  .issuer = issuer,
                                  .jti = ""},
                                 TestKey(KeyType::kEcP256),
                                 "k1");
  return std::string(token.value().Reveal());
}

JwtSvid SvidOf(const std::string& issuer, seconds life = seconds(300)) {
  return ParseTrustedJwtSvid(TokenOf(issuer, life)).value();
}

std::vector<std::string> Verdicts(const std::vector<Finding>& findings) {
  std::vector<std::string> lines;
  for (const Finding& finding : findings) {
    lines.push_back(finding.check + " " + VerdictName(finding.verdict));
  }
  return lines;
}

credential::v1::CheckDestinationResponse Needs() {
  credential::v1::CheckDestinationResponse needs;
  needs.add_spiffe_ids("spiffe://example.org/web");
  needs.set_found(true);
  needs.set_adapter("openbao");
  needs.set_origin("/etc/kv.yaml:1");
  needs.set_grant("web-to-kv");
  needs.set_spiffe_id("spiffe://example.org/web");
  needs.add_audience("vendor");
  needs.set_max_svid_bytes(16384);
  needs.set_max_svid_lifetime_seconds(3600);
  return needs;
}

TEST(SvidChecksTest, TheFormIsHeldAgainstWhatTheDestinationTakes) {
  auto needs = Needs();
  EXPECT_THAT(Verdicts(CheckSvidForm(SvidOf("i"), needs)),
              ElementsAre("algorithm ok", "lifetime ok"));
  needs.add_svid_algorithms("RS256");
  needs.set_max_svid_lifetime_seconds(299);
  needs.set_max_svid_bytes(10);
  const auto findings = CheckSvidForm(SvidOf("i"), needs);
  EXPECT_THAT(Verdicts(findings),
              ElementsAre("algorithm failed", "lifetime failed", "size failed"));
  EXPECT_EQ(findings[0].detail, "ES256, while the destination takes RS256");
  EXPECT_THAT(findings[1].fix, HasSubstr("-jwtSVIDTTL"));
}

TEST(SvidChecksTest, AnIssuerIsMissedOnlyWhereItIsNeeded) {
  EXPECT_EQ(CheckIssuer(SvidOf(""), false, seconds(5)).verdict, Verdict::kSkipped);
  const Finding missing = CheckIssuer(SvidOf(""), true, seconds(5));
  EXPECT_EQ(missing.verdict, Verdict::kFailed);
  EXPECT_THAT(missing.fix, HasSubstr("jwt_issuer"));
  EXPECT_EQ(CheckIssuer(SvidOf("my issuer"), true, seconds(5)).verdict, Verdict::kSkipped);
  const Finding away = CheckIssuer(SvidOf("http://127.0.0.1:1"), true, seconds(5));
  EXPECT_EQ(away.verdict, Verdict::kSkipped);
  EXPECT_THAT(away.detail, HasSubstr("cannot be read from here"));
}

struct DiscoveryCase {
  std::string name;
  /// @ stands for the server's URL.
  std::string discovery;
  std::string keys;
  Verdict verdict;
  std::string detail;
};

void PrintTo(const DiscoveryCase& c, std::ostream* out) {
  *out << c.name;
}

class DiscoveryTest : public testing::TestWithParam<DiscoveryCase> {};

TEST_P(DiscoveryTest, IsComparedWithTheToken) {
  ServerAside server;
  std::string discovery = GetParam().discovery;
  for (auto at = discovery.find('@'); at != std::string::npos; at = discovery.find('@')) {
    discovery.replace(at, 1, server.url());
  }
  server.Enqueue(discovery.empty() ? HttpAnswer(500, "") : HttpAnswer(200, discovery));
  server.Enqueue(HttpAnswer(200, GetParam().keys));
  const Finding finding = CheckIssuer(SvidOf(server.url()), true, seconds(5));
  EXPECT_EQ(finding.verdict, GetParam().verdict) << finding.detail;
  EXPECT_THAT(finding.detail, HasSubstr(GetParam().detail));
  EXPECT_EQ(finding.fix.empty(), finding.verdict == Verdict::kOk);
}

constexpr const char* kGoodDiscovery = R"({"issuer":"@","jwks_uri":"@/keys"})";

INSTANTIATE_TEST_SUITE_P(
    All,
    DiscoveryTest,
    testing::Values(
        DiscoveryCase{"Good", kGoodDiscovery, R"({"keys":[{"kid":"k1"}]})", Verdict::kOk, "key k1"},
        DiscoveryCase{"OtherIssuer",
                      R"({"issuer":"@/","jwks_uri":"@/keys"})",
                      "",
                      Verdict::kFailed,
                      "the discovery document there says"},
        DiscoveryCase{"NoIssuer", "{}", "", Verdict::kFailed, "says \"\""},
        DiscoveryCase{"Status", "", "", Verdict::kFailed, "answers with status 500"},
        DiscoveryCase{"NotJson", "<html>", "", Verdict::kFailed, "is no JSON object"},
        DiscoveryCase{"NoKeySet", R"({"issuer":"@"})", "", Verdict::kFailed, "is no URL"},
        DiscoveryCase{"OtherKey",
                      kGoodDiscovery,
                      R"({"keys":[{"kid":"k2"},1]})",
                      Verdict::kFailed,
                      "does not have the key k1"},
        DiscoveryCase{
            "NoKeys", kGoodDiscovery, R"({"keys":1})", Verdict::kFailed, "does not have"}),
    [](const auto& tested) { return tested.param.name; });

TEST(VendorChecksTest, ReadsTheDateOfAnAnswer) {
  EXPECT_EQ(ParseDateHeader("Sun, 06 Nov 1994 08:49:37 GMT"), FromUnixSeconds(784'111'777));
  for (const std::string bad : {"",
                                "Sun, 06 Nov 1994 08:49:37 UTC",
                                "Sun, 06 Nox 1994 08:49:37 GMT",
                                "Sun, 66 Nov 1994 08:49:37 GMT",
                                "Sunday, 06-Nov-94 08:49:37 GMT"}) {
    EXPECT_EQ(ParseDateHeader(bad), std::nullopt) << bad;
  }
}

TEST(VendorChecksTest, AClockThatDiffersIsSaidWithItsDirection) {
  for (const auto& [ahead, words] :
       std::vector<std::pair<int, std::string>>{{0, "0 s apart"},
                                                {-20, "20 s apart"},
                                                {100, "100 s ahead of"},
                                                {-100, "100 s behind"}}) {
    ServerAside server;
    FakeClock clock(FromUnixSeconds(1'800'000'000));
    const std::string date = FormatHttpDate(clock.Now() - seconds(ahead));
    server.Enqueue("");
    server.Enqueue(HttpAnswer(404, "nothing", "Date: " + date + "\r\n"));
    const auto findings = CheckVendor(server.url(), "", clock, seconds(5));
    ASSERT_EQ(findings.size(), 4U);
    EXPECT_THAT(findings[3].detail, HasSubstr(words));
    EXPECT_EQ(findings[3].verdict, ahead * ahead > 900 ? Verdict::kFailed : Verdict::kOk);
  }
}

TEST(VendorChecksTest, TheFirstStepThatFailsEndsTheRest) {
  const FakeClock clock(FromUnixSeconds(1'800'000'000));
  EXPECT_THAT(Verdicts(CheckVendor("", "", clock, seconds(5))),
              ElementsAre("host skipped", "connection skipped", "tls skipped", "clock skipped"));
  EXPECT_THAT(Verdicts(CheckVendor("https://no-such-host.invalid", "", clock, seconds(10))),
              ElementsAre("host failed", "connection skipped", "tls skipped", "clock skipped"));
  EXPECT_THAT(Verdicts(CheckVendor("https://127.0.0.1:1", "", clock, seconds(5))),
              ElementsAre("host ok", "connection failed", "tls skipped", "clock skipped"));
  const ServerAside plain;
  const std::string origin = "https" + plain.url().substr(4);
  EXPECT_THAT(Verdicts(CheckVendor(origin, "", clock, seconds(5))),
              ElementsAre("host ok", "connection ok", "tls failed", "clock skipped"));
  const auto no_roots = CheckVendor(origin, "/none/ca.pem", clock, seconds(5));
  EXPECT_THAT(no_roots.at(2).detail, HasSubstr("CA file /none/ca.pem cannot be read"));
  EXPECT_THAT(no_roots.at(2).fix, HasSubstr("/none/ca.pem has to hold"));
}

/// An agent that has all, and a server that is issuer and vendor.
class DestinationCheckTest : public testing::Test {
 protected:
  DestinationCheckTest() {
    answers_.check = Needs();
    answers_.check.set_url(server_.url());
    answers_.status.set_version("1.0");
    answers_.status.set_trust_domain("example.org");
    answers_.status.set_last_sync_at(1'800'000'000);
    answers_.jwt_svid = TokenOf(server_.url());
  }

  void ServeAll() {
    server_.Enqueue(
        HttpAnswer(200, fmt::format(R"({{"issuer":"{0}","jwks_uri":"{0}/keys"}})", server_.url())));
    server_.Enqueue(HttpAnswer(200, R"({"keys":[{"kid":"k1"}]})"));
    server_.Enqueue("");
    server_.Enqueue(
        HttpAnswer(200, "hello", "Date: " + FormatHttpDate(SystemClock().Now()) + "\r\n"));
  }

  CommandResult Check(std::vector<std::string> more = {}) {
    const FakeAgent agent(
        [this](int, const auto& request, auto& response) {
          asked_for_ = request.destination();
          least_ttl_ = request.min_ttl_seconds();
          response.set_expires_at(1'800'000'000);
          response.set_request_id("req-1");
          (*response.mutable_fields())["token"] = "secret-value";
          return refusal_;
        },
        answers_);
    more.insert(more.begin(), {"check", "kv", "-socket", agent.socket()});
    return RunCommand(more);
  }

  ServerAside server_;
  FakeAgent::Answers answers_;
  grpc::Status refusal_;
  std::string asked_for_;
  std::int64_t least_ttl_ = 0;
};

TEST_F(DestinationCheckTest, EveryPreconditionHasALine) {
  ServeAll();
  const auto result = Check();
  EXPECT_EQ(result.exit_code, 0) << result.out;
  for (const char* check : {"agent",
                            "resource",
                            "identity",
                            "grant",
                            "svid",
                            "algorithm",
                            "lifetime",
                            "issuer",
                            "host",
                            "connection",
                            "tls",
                            "clock",
                            "exchange"}) {
    EXPECT_THAT(result.out, HasSubstr(fmt::format("ok       {:<11} ", check)));
  }
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("/etc/kv.yaml:1 (openbao)"),
                    HasSubstr("web-to-kv gives it to spiffe://example.org/web"),
                    HasSubstr("vendor's request req-1"),
                    testing::Not(HasSubstr("secret-value"))));
  EXPECT_EQ(asked_for_, "kv");
  EXPECT_GT(least_ttl_, 86400) << "a fresh one";
}

TEST_F(DestinationCheckTest, TheExchangeCanBeLeftOut) {
  ServeAll();
  const auto result = Check({"-exchange=false", "--output", "json"});
  EXPECT_EQ(result.exit_code, 0) << result.out;
  EXPECT_EQ(asked_for_, "");
  const auto json = boost::json::parse(result.out);
  EXPECT_EQ(json.at("ok"), true);
  const auto& checks = json.at("checks").as_array();
  EXPECT_EQ(checks.size(), 13U);
  EXPECT_EQ(checks.back().at("check"), "exchange");
  EXPECT_EQ(checks.back().at("result"), "skipped");
}

TEST_F(DestinationCheckTest, ARefusedExchangeFailsWithWhatTheAgentSays) {
  ServeAll();
  refusal_ = grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "kv: the vendor says no");
  const auto result = Check();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("failed   exchange    kv: the vendor says no"), HasSubstr("fix: ")));
}

struct BrokenCase {
  std::string name;
  void (*break_it)(FakeAgent::Answers& answers);
  /// The check that fails, and the one after it.
  std::string failed;
  std::string skipped;
  std::string fix;
};

void PrintTo(const BrokenCase& c, std::ostream* out) {
  *out << c.name;
}

class BrokenDestinationTest : public DestinationCheckTest,
                              public testing::WithParamInterface<BrokenCase> {};

TEST_P(BrokenDestinationTest, SaysWhichPreconditionFailsAndHowToMendIt) {
  GetParam().break_it(answers_);
  const auto result = Check();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out,
              AllOf(HasSubstr(fmt::format("failed   {:<11} ", GetParam().failed)),
                    HasSubstr(fmt::format("skipped  {:<11} ", GetParam().skipped)),
                    HasSubstr("fix: " + GetParam().fix)));
}

void Refuse(FakeAgent::Answers& answers, const char* fact, const char* fix) {
  auto check = credential::v1::CheckDestinationResponse();
  check.set_found(true);
  check.mutable_refusal()->set_fact(fact);
  check.mutable_refusal()->set_fix(fix);
  answers.check = check;
}

INSTANTIATE_TEST_SUITE_P(
    All,
    BrokenDestinationTest,
    testing::Values(
        BrokenCase{"NotSynced",
                   [](FakeAgent::Answers& answers) { answers.status.set_last_sync_at(0); },
                   "agent",
                   "resource",
                   "make the server reachable"},
        BrokenCase{"NotThere",
                   [](FakeAgent::Answers& answers) { answers.check.set_found(false); },
                   "resource",
                   "identity",
                   "write one with `credence setup"},
        BrokenCase{"MistakesInFiles",
                   [](FakeAgent::Answers& answers) {
                     answers.check.set_found(false);
                     answers.status.add_resource_errors("kv.yaml:1:1: wrong");
                   },
                   "resource",
                   "exchange",
                   "correct the resource files"},
        BrokenCase{"NoIdentity",
                   [](FakeAgent::Answers& answers) {
                     Refuse(answers, "no registration entry fits", "spire-server entry create");
                   },
                   "identity",
                   "grant",
                   "spire-server entry create"},
        BrokenCase{"NoGrant",
                   [](FakeAgent::Answers& answers) {
                     Refuse(answers, "no grant gives it", "add a Grant");
                     answers.check.add_spiffe_ids("spiffe://example.org/web");
                   },
                   "grant",
                   "svid",
                   "add a Grant"},
        BrokenCase{"NoSvid",
                   [](FakeAgent::Answers& answers) { answers.jwt_svid = ""; },
                   "svid",
                   "algorithm",
                   "see `credence status`"}),
    [](const auto& tested) { return tested.param.name; });

TEST(CheckCommandTest, WithoutAnAgentTheFirstCheckFails) {
  const auto result = RunCommand({"check", "kv", "-socket", "/none/api.sock"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("failed   agent       no agent answers on /none/api.sock"),
                    HasSubstr("fix: start it with `credence run`"),
                    HasSubstr("skipped  exchange    needs \"agent\"")));
}

TEST(CheckCommandTest, ADestinationAndAConfigurationAreTwoThings) {
  EXPECT_EQ(RunCommand({"check", "kv", "-config", "agent.conf"}).exit_code, 2);
  EXPECT_EQ(RunCommand({"check", "-exchange=false"}).exit_code, 2);
}

}  // namespace
}  // namespace credence
