#include "agent/authority/web/federation_client.h"

#include <unistd.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "agent/authority/keys/issuer.h"
#include "base/core/file.h"
#include "base/core/testing/ignore_sigpipe.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"
#include "base/crypto/tls_server_context.h"
#include "base/http/testing/scripted_server.h"
#include "base/http/testing/test_pki.h"
#include "base/svid/testing/test_authority.h"

namespace credence {
namespace {

using spire::api::types::Bundle;
using spire::api::types::FederationRelationship;
using std::chrono::milliseconds;
using testing::HasSubstr;

Task<Result<void>> KeepResult(Result<void> result) {
  co_return result;
}

/// A server context that shows an X509-SVID.
std::shared_ptr<asio::ssl::context> SvidContext(const TestAuthority& authority,
                                                const std::string& id) {
  const PrivateKey& key = TestKey(KeyType::kEcP256);
  TlsServerOptions options{{authority.Issue(key, CertificateSpec::Leaf(id))}, key, {}, {}};
  const TlsServerContext context = MakeTlsServerContext(std::move(options)).value();
  SSL_CTX_up_ref(context.get());
  return std::make_shared<asio::ssl::context>(context.get());
}

class FederationClientTest : public testing::Test {
 protected:
  FederationClientTest()
      : ca_file_(testing::TempDir() + "federation_test_ca_" + std::to_string(getpid()) + ".pem") {
    EXPECT_THAT(WriteFileAtomically(ca_file_, web_ca_.pem(), 0644), IsOk());
    FederationOptions options;
    options.intervals = {
        .standard = milliseconds(20), .shortest = milliseconds(20), .longest = milliseconds(20)};
    options.poll_timeout = milliseconds(5000);
    options.max_bundle_bytes = 100'000;
    options.web_ca_file = ca_file_;
    client_.emplace(
        io_.get_executor(),
        clock_,
        options,
        [this](const TrustDomain& name) { return Find(name); },
        [this](ForeignBundleEndpoint endpoint, Bundle bundle) {
          return KeepResult(Store(endpoint.trust_domain, std::move(bundle)));
        });
  }
  ~FederationClientTest() override {
    RunTask(io_, client_->Stop());
    unlink(ca_file_.c_str());
  }

  std::optional<Bundle> Find(const TrustDomain& name) const {
    const auto held = held_.find(name.name());
    return held == held_.end() ? std::nullopt : std::optional(held->second);
  }
  Result<void> Store(const TrustDomain& name, Bundle bundle) {
    if (disk_full_) {
      return Error(Code::kResourceExhausted, "disk full");
    }
    ++stored_;
    held_[name.name()] = std::move(bundle);
    return Ok();
  }

  /// A bundle of b.test with one root.
  static Bundle BundleOfB(std::uint64_t sequence, const TestAuthority& root) {
    Bundle bundle;
    bundle.set_trust_domain("b.test");
    bundle.set_sequence_number(sequence);
    bundle.add_x509_authorities()->set_asn1(root.certificate());
    return bundle;
  }
  static std::string Document(const Bundle& bundle) {
    return HttpAnswer(200, SpiffeBundleDocument(bundle));
  }

  static ForeignBundleEndpoint Web(const std::string& url) {
    FederationRelationship relationship;
    relationship.set_trust_domain("b.test");
    relationship.set_bundle_endpoint_url(url);
    relationship.mutable_https_web();
    return ParseFederationRelationship(relationship).value();
  }
  static ForeignBundleEndpoint Spiffe(const std::string& url, const std::string& id) {
    FederationRelationship relationship;
    relationship.set_trust_domain("b.test");
    relationship.set_bundle_endpoint_url(url);
    relationship.mutable_https_spiffe()->set_endpoint_spiffe_id(id);
    return ParseFederationRelationship(relationship).value();
  }

  Result<BundleVerdict> Poll(ForeignBundleEndpoint endpoint) {
    return RunTask(io_, client_->Poll(std::move(endpoint)));
  }
  template <class Condition>
  bool RunUntil(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    io_.restart();
    while (!condition() && std::chrono::steady_clock::now() < end) {
      io_.run_one_for(milliseconds(10));
    }
    return condition();
  }
  void RunFor(milliseconds time) {
    io_.restart();
    io_.run_for(time);
  }

  asio::io_context io_;
  FakeClock clock_{TestNow()};
  TestCa web_ca_{"web root"};
  std::string ca_file_;
  TestAuthority root_ = TestAuthority::Root();
  std::map<std::string, Bundle> held_;
  int stored_ = 0;
  bool disk_full_ = false;
  std::optional<FederationClient> client_;
};

constexpr const char* kServerOfB = "spiffe://b.test/spire/server";

TEST_F(FederationClientTest, FED_2_FED_7_FED_10_HttpsWebBundleIsStoredUnderItsName) {
  ScriptedServer server(io_, web_ca_.Issue("DNS:localhost"));
  server.Enqueue(Document(BundleOfB(3, root_)));
  EXPECT_THAT(Poll(Web(server.Url() + "/bundle")), IsOkAndHolds(BundleVerdict::kNewer));
  ASSERT_EQ(stored_, 1);
  EXPECT_EQ(held_["b.test"].SerializeAsString(), BundleOfB(3, root_).SerializeAsString());
  ASSERT_EQ(server.requests().size(), 1U);
  EXPECT_THAT(server.requests()[0], HasSubstr("GET /bundle HTTP/1.1\r\n"));
}

TEST_F(FederationClientTest, FED_7_FED_21_HttpsSpiffeBundleIsFetchedWithTheBundleThatIsHeld) {
  held_["b.test"] = BundleOfB(1, root_);
  const TestAuthority next = TestAuthority::Root();
  ScriptedServer server(io_, SvidContext(root_, kServerOfB));
  Bundle both = BundleOfB(2, root_);
  both.add_x509_authorities()->set_asn1(next.certificate());
  server.Enqueue(Document(both));
  EXPECT_THAT(Poll(Spiffe(server.Url(), kServerOfB)), IsOkAndHolds(BundleVerdict::kNewer));

  // The root rotates; the server's new certificate is known from the poll before.
  ScriptedServer rotated(io_, SvidContext(next, kServerOfB));
  rotated.Enqueue(Document(BundleOfB(3, next)));
  rotated.Enqueue(Document(BundleOfB(4, root_)));
  EXPECT_THAT(Poll(Spiffe(rotated.Url(), kServerOfB)), IsOkAndHolds(BundleVerdict::kNewer));
  EXPECT_THAT(Poll(Spiffe(rotated.Url(), kServerOfB)), IsOkAndHolds(BundleVerdict::kNewer));
  // The old root does not vouch for it any more.
  rotated.Enqueue(Document(BundleOfB(5, root_)));
  EXPECT_THAT(Poll(Spiffe(rotated.Url(), kServerOfB)), FailsWithCode(Code::kUnavailable));
  EXPECT_EQ(held_["b.test"].sequence_number(), 4U);
}

TEST_F(FederationClientTest, FED_18_HttpsWebChecksTheNameAndTheRoots) {
  const TestCa other("other root");
  ScriptedServer wrong_name(io_, web_ca_.Issue("DNS:other.example"));
  ScriptedServer wrong_root(io_, other.Issue("DNS:localhost"));
  for (ScriptedServer* server : {&wrong_name, &wrong_root}) {
    server->Enqueue(Document(BundleOfB(3, root_)));
    EXPECT_THAT(Poll(Web(server->Url())), FailsWith(Code::kUnavailable, HasSubstr("TLS with")));
    EXPECT_TRUE(server->requests().empty());
  }
  EXPECT_EQ(stored_, 0);
}

TEST_F(FederationClientTest, FED_9_ProfilesDoNotStandInForEachOther) {
  held_["b.test"] = BundleOfB(1, root_);
  ScriptedServer web(io_, web_ca_.Issue("DNS:localhost"));
  web.Enqueue(Document(BundleOfB(3, root_)));
  EXPECT_THAT(Poll(Spiffe(web.Url(), kServerOfB)), FailsWithCode(Code::kUnavailable));
  ScriptedServer spiffe(io_, SvidContext(root_, kServerOfB));
  spiffe.Enqueue(Document(BundleOfB(3, root_)));
  EXPECT_THAT(Poll(Web(spiffe.Url())), FailsWithCode(Code::kUnavailable));
  EXPECT_EQ(stored_, 0);
}

TEST_F(FederationClientTest, FED_20_WithoutABundleToCheckItWithNobodyIsAsked) {
  ScriptedServer server(io_, SvidContext(root_, kServerOfB));
  EXPECT_THAT(Poll(Spiffe(server.Url(), kServerOfB)),
              FailsWith(Code::kFailedPrecondition, HasSubstr("no bundle of b.test")));
  EXPECT_EQ(server.connections(), 0U);
}

TEST_F(FederationClientTest, FED_22_AnEndpointInAnotherTrustDomainIsCheckedWithThatDomainsBundle) {
  const TestAuthority root_of_c = TestAuthority::Root();
  held_["b.test"] = BundleOfB(1, root_);
  held_["c.test"] = BundleOfB(1, root_of_c);
  ScriptedServer server(io_, SvidContext(root_of_c, "spiffe://c.test/bundles"));
  server.Enqueue(Document(BundleOfB(2, root_)));
  EXPECT_THAT(Poll(Spiffe(server.Url(), "spiffe://c.test/bundles")),
              IsOkAndHolds(BundleVerdict::kNewer));
  // FED-6: b.test's own root is no help for an ID of c.test.
  ScriptedServer impostor(io_, SvidContext(root_, "spiffe://c.test/bundles"));
  impostor.Enqueue(Document(BundleOfB(3, root_)));
  EXPECT_THAT(Poll(Spiffe(impostor.Url(), "spiffe://c.test/bundles")),
              FailsWithCode(Code::kUnavailable));
}

TEST_F(FederationClientTest, FED_23_AnotherIdOfTheSameDomainIsRefusedAlsoAfterARedirect) {
  held_["b.test"] = BundleOfB(1, root_);
  ScriptedServer other(io_, SvidContext(root_, "spiffe://b.test/web"));
  ScriptedServer server(io_, SvidContext(root_, kServerOfB));
  for (int i = 0; i < 2; ++i) {
    other.Enqueue(Document(BundleOfB(2, root_)));
  }
  server.Enqueue(HttpAnswer(307, "", "Location: " + other.Url() + "/bundle\r\n"));
  EXPECT_THAT(Poll(Spiffe(other.Url(), kServerOfB)),
              FailsWith(Code::kUnavailable, HasSubstr("spiffe://b.test/web")));
  EXPECT_THAT(Poll(Spiffe(server.Url(), kServerOfB)),
              FailsWith(Code::kUnavailable, HasSubstr("spiffe://b.test/web")));
  EXPECT_EQ(server.connections(), 1U);
  EXPECT_EQ(stored_, 0);
}

TEST_F(FederationClientTest, FED_17_RedirectsAreFollowedAnewEachTime) {
  ScriptedServer target(io_, web_ca_.Issue("DNS:localhost"));
  ScriptedServer server(io_, web_ca_.Issue("DNS:localhost"));
  for (std::uint64_t sequence = 1; sequence <= 2; ++sequence) {
    server.Enqueue(HttpAnswer(301, "", "Location: /moved\r\n"));
    server.Enqueue(HttpAnswer(308, "", "Location: " + target.Url() + "/new\r\n"));
    target.Enqueue(Document(BundleOfB(sequence, root_)));
    EXPECT_THAT(Poll(Web(server.Url() + "/old")), IsOkAndHolds(BundleVerdict::kNewer));
  }
  ASSERT_EQ(server.requests().size(), 4U);
  EXPECT_THAT(server.requests()[1], HasSubstr("GET /moved "));
  EXPECT_THAT(server.requests()[2], HasSubstr("GET /old "));
  EXPECT_THAT(target.requests()[0], HasSubstr("GET /new "));
}

TEST_F(FederationClientTest, FED_17_RedirectsToPlainHttpAndInCirclesEnd) {
  ScriptedServer plain(io_);
  ScriptedServer server(io_, web_ca_.Issue("DNS:localhost"));
  server.Enqueue(HttpAnswer(302, "", "Location: " + plain.Url() + "/\r\n"));
  EXPECT_THAT(Poll(Web(server.Url())),
              FailsWith(Code::kInvalidArgument, HasSubstr("redirect is not followed")));
  EXPECT_EQ(plain.connections(), 0U);
  for (int i = 0; i < 20; ++i) {
    server.Enqueue(HttpAnswer(302, "", "Location: /\r\n"));
  }
  EXPECT_THAT(Poll(Web(server.Url())), FailsWith(Code::kUnavailable, HasSubstr("5 redirects")));
  EXPECT_EQ(server.connections(), 7U);
  EXPECT_EQ(stored_, 0);
}

TEST_F(FederationClientTest, FED_3_AnOlderBundleIsNotAppliedAndTheSameOneNotStored) {
  held_["b.test"] = BundleOfB(5, root_);
  ScriptedServer server(io_, web_ca_.Issue("DNS:localhost"));
  server.Enqueue(Document(BundleOfB(4, TestAuthority::Root())));
  server.Enqueue(Document(BundleOfB(5, root_)));
  EXPECT_THAT(Poll(Web(server.Url())), IsOkAndHolds(BundleVerdict::kOlder));
  EXPECT_THAT(Poll(Web(server.Url())), IsOkAndHolds(BundleVerdict::kUnchanged));
  EXPECT_EQ(stored_, 0);
}

TEST_F(FederationClientTest, FED_4_ABundleSetByHandHoldsUntilTheNextPoll) {
  held_["b.test"] = BundleOfB(0, TestAuthority::Root());
  ScriptedServer server(io_, web_ca_.Issue("DNS:localhost"));
  server.Enqueue(Document(BundleOfB(5, root_)));
  EXPECT_THAT(Poll(Web(server.Url())), IsOkAndHolds(BundleVerdict::kNewer));
  EXPECT_EQ(held_["b.test"].sequence_number(), 5U);
}

TEST_F(FederationClientTest, WhatIsNoBundleIsRefusedAndTheHeldOneStays) {
  held_["b.test"] = BundleOfB(5, root_);
  struct Case {
    std::string answer;
    Code code;
  };
  const std::vector<Case> cases = {
      {HttpAnswer(200, ""), Code::kInvalidArgument},
      {HttpAnswer(200, "<html>"), Code::kInvalidArgument},
      {HttpAnswer(200, "{\"spiffe_sequence\":9}"), Code::kInvalidArgument},
      {HttpAnswer(200, "{\"keys\":[],\"keys\":[]}"), Code::kInvalidArgument},
      {HttpAnswer(404, SpiffeBundleDocument(BundleOfB(6, root_))), Code::kUnavailable},
      {HttpAnswer(204, ""), Code::kUnavailable},
      {HttpAnswer(503, ""), Code::kUnavailable},
      {HttpAnswer(302, ""), Code::kInvalidArgument},
      {HttpAnswer(200, std::string(100'001, ' ')), Code::kOutOfRange},
      {"SSH-2.0-nonsense\r\n\r\n", Code::kDataLoss},
      {"", Code::kUnavailable},
  };
  ScriptedServer server(io_, web_ca_.Issue("DNS:localhost"));
  for (const Case& wrong : cases) {
    server.Enqueue(wrong.answer);
    EXPECT_THAT(Poll(Web(server.Url())), FailsWith(wrong.code, HasSubstr("https://localhost")))
        << wrong.answer.substr(0, 100);
  }
  EXPECT_EQ(stored_, 0);
}

TEST_F(FederationClientTest, ABundleThatCannotBeStoredIsFetchedAgain) {
  ScriptedServer server(io_, web_ca_.Issue("DNS:localhost"));
  server.Enqueue(Document(BundleOfB(5, root_)));
  server.Enqueue(Document(BundleOfB(5, root_)));
  disk_full_ = true;
  EXPECT_THAT(Poll(Web(server.Url())), FailsWith(Code::kResourceExhausted, HasSubstr("store")));
  disk_full_ = false;
  EXPECT_THAT(Poll(Web(server.Url())), IsOkAndHolds(BundleVerdict::kNewer));
}

TEST_F(FederationClientTest, FED_1_FED_24_PollsAtOnceAndThenInTurnAfterFailuresToo) {
  ScriptedServer server(io_, web_ca_.Issue("DNS:localhost"));
  server.Enqueue(HttpAnswer(500, ""));
  server.Enqueue(Document(BundleOfB(1, root_)));
  server.Enqueue(HttpAnswer(500, ""));
  server.Enqueue(Document(BundleOfB(2, root_)));
  const auto before = std::chrono::steady_clock::now();
  client_->SetEndpoints({Web(server.Url())});
  EXPECT_TRUE(RunUntil([this] { return stored_ == 2; }));
  EXPECT_EQ(held_["b.test"].sequence_number(), 2U);
  EXPECT_EQ(server.connections(), 4U);
  EXPECT_GE(std::chrono::steady_clock::now() - before, milliseconds(3 * 19));
}

TEST_F(FederationClientTest, FED_22_AChainOfRelationshipsComesUpByItself) {
  // c.test by https_web serves the bundle with which the endpoint of b.test is checked.
  const TestAuthority root_of_c = TestAuthority::Root();
  ScriptedServer web(io_, web_ca_.Issue("DNS:localhost"));
  ScriptedServer spiffe(io_, SvidContext(root_of_c, "spiffe://c.test/bundles"));
  Bundle bundle_of_c = BundleOfB(1, root_of_c);
  bundle_of_c.set_trust_domain("c.test");
  web.Enqueue(Document(bundle_of_c));
  for (int i = 0; i < 3; ++i) {
    spiffe.Enqueue(Document(BundleOfB(1, root_)));
  }
  ForeignBundleEndpoint c = Web(web.Url());
  c.trust_domain = TrustDomain::Parse("c.test").value();
  client_->SetEndpoints({Spiffe(spiffe.Url(), "spiffe://c.test/bundles"), c});
  EXPECT_TRUE(RunUntil([this] { return stored_ == 2; }));
  EXPECT_EQ(held_["c.test"].trust_domain(), "c.test");
  EXPECT_EQ(held_["b.test"].trust_domain(), "b.test");
}

TEST_F(FederationClientTest, FED_25_WhatIsGoneIsNotPolledAgainAndWhatStaysGoesOn) {
  ScriptedServer first(io_, web_ca_.Issue("DNS:localhost"));
  ScriptedServer second(io_, web_ca_.Issue("DNS:localhost"));
  client_->SetEndpoints({Web(first.Url())});
  ASSERT_TRUE(RunUntil([&] { return first.connections() == 2; }));
  // The same again is no reason to poll now.
  client_->SetEndpoints({Web(first.Url())});
  RunFor(milliseconds(5));
  EXPECT_EQ(first.connections(), 2U);
  // Another URL is.
  client_->SetEndpoints({Web(second.Url()), Web(first.Url())});
  ASSERT_TRUE(RunUntil([&] { return second.connections() == 2; }));
  const std::size_t polls = first.connections();
  EXPECT_LE(polls, 3U);
  client_->SetEndpoints({});
  RunFor(milliseconds(100));
  EXPECT_EQ(first.connections(), polls);
  EXPECT_LE(second.connections(), 3U);
}

TEST_F(FederationClientTest, StopsInTheMiddleOfAPollAndTwice) {
  ScriptedServer server(io_, web_ca_.Issue("DNS:localhost"));
  ScriptedAnswer hanging;
  hanging.ending = ScriptedAnswer::Ending::kHang;
  server.Enqueue(std::move(hanging));
  client_->SetEndpoints({Web(server.Url())});
  ASSERT_TRUE(RunUntil([&] { return server.requests().size() == 1; }));
  const auto before = std::chrono::steady_clock::now();
  RunTask(io_, client_->Stop());
  RunTask(io_, client_->Stop());
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(3));
}

}  // namespace
}  // namespace credence
