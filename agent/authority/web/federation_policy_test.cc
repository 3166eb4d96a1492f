#include "agent/authority/web/federation_policy.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "base/svid/testing/test_authority.h"

namespace credence {
namespace {

using spire::api::types::Bundle;
using spire::api::types::FederationRelationship;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;

FederationRelationship WebRelationship() {
  FederationRelationship relationship;
  relationship.set_trust_domain("b.test");
  relationship.set_bundle_endpoint_url("https://b.example/bundle");
  relationship.mutable_https_web();
  return relationship;
}

FederationRelationship SpiffeRelationship(const std::string& id) {
  FederationRelationship relationship = WebRelationship();
  relationship.mutable_https_spiffe()->set_endpoint_spiffe_id(id);
  return relationship;
}

TEST(FederationPolicyTest, FED_12_HttpsWebNeedsNameAndUrlOnly) {
  const auto endpoint = ParseFederationRelationship(WebRelationship());
  ASSERT_THAT(endpoint, IsOk());
  EXPECT_EQ(endpoint->trust_domain.name(), "b.test");
  EXPECT_EQ(endpoint->url.host, "b.example");
  EXPECT_EQ(endpoint->url.target, "/bundle");
  EXPECT_FALSE(endpoint->endpoint_id.has_value());
}

TEST(FederationPolicyTest, FED_22_EndpointOfHttpsSpiffeMayBeInAnyTrustDomain) {
  for (const char* id : {"spiffe://b.test/spire/server", "spiffe://c.test/bundles"}) {
    const auto endpoint = ParseFederationRelationship(SpiffeRelationship(id));
    ASSERT_THAT(endpoint, IsOk()) << id;
    EXPECT_EQ(endpoint->endpoint_id->text(), id);
    EXPECT_EQ(endpoint->trust_domain.name(), "b.test");
  }
}

TEST(FederationPolicyTest, FED_9_FED_11_FED_19_FED_20_NothingIsGuessed) {
  struct Case {
    const char* what;
    FederationRelationship relationship;
  };
  std::vector<Case> cases;
  auto add = [&cases](const char* what, FederationRelationship relationship) -> auto& {
    return cases.emplace_back(Case{what, std::move(relationship)}).relationship;
  };
  add("no trust domain", WebRelationship()).clear_trust_domain();
  add("a SPIFFE ID for a name", WebRelationship()).set_trust_domain("spiffe://b.test");
  add("no URL", WebRelationship()).clear_bundle_endpoint_url();
  add("no profile", WebRelationship()).clear_https_web();
  add("http", WebRelationship()).set_bundle_endpoint_url("http://b.example/bundle");
  add("http on loopback", WebRelationship()).set_bundle_endpoint_url("http://127.0.0.1/bundle");
  add("user", WebRelationship()).set_bundle_endpoint_url("https://user@b.example/bundle");
  add("password", WebRelationship()).set_bundle_endpoint_url("https://u:p@b.example/bundle");
  add("other scheme", WebRelationship()).set_bundle_endpoint_url("spiffe://b.test/bundle");
  add("no host", WebRelationship()).set_bundle_endpoint_url("https:///bundle");
  add("no endpoint ID", SpiffeRelationship(""));
  add("endpoint ID without path", SpiffeRelationship("spiffe://b.test"));
  add("endpoint ID in capitals", SpiffeRelationship("spiffe://B.test/server"));
  for (const Case& wrong : cases) {
    EXPECT_THAT(ParseFederationRelationship(wrong.relationship),
                FailsWith(Code::kInvalidArgument, HasSubstr("federation ")))
        << wrong.what;
  }
}

TEST(FederationPolicyTest, FED_1_PollsAtTheRefreshHintWithinBounds) {
  const PollIntervals intervals;
  EXPECT_EQ(PollInterval(intervals, nullptr), minutes(5));
  const std::vector<std::pair<std::int64_t, seconds>> cases = {
      {0, minutes(5)},
      {-1, minutes(5)},
      {std::numeric_limits<std::int64_t>::min(), minutes(5)},
      {1, seconds(30)},
      {30, seconds(30)},
      {31, seconds(31)},
      {3600, hours(1)},
      {86'400, hours(24)},
      {86'401, hours(24)},
      {std::numeric_limits<std::int64_t>::max(), hours(24)},
  };
  for (const auto& [hint, wait] : cases) {
    Bundle held;
    held.set_refresh_hint(hint);
    EXPECT_EQ(PollInterval(intervals, &held), wait) << hint;
  }
}

Bundle BundleWith(std::uint64_t sequence, const std::string& key_id) {
  Bundle bundle;
  bundle.set_trust_domain("b.test");
  bundle.set_sequence_number(sequence);
  bundle.add_jwt_authorities()->set_key_id(key_id);
  return bundle;
}

TEST(FederationPolicyTest, FED_3_SequenceNumbersOrderBundlesAndElseTheLatestCounts) {
  struct Case {
    std::uint64_t held;
    std::uint64_t fetched;
    BundleVerdict verdict;
  };
  constexpr auto kLargest = std::numeric_limits<std::uint64_t>::max();
  for (const Case& pair : {Case{5, 6, BundleVerdict::kNewer},
                           Case{5, 4, BundleVerdict::kOlder},
                           Case{5, 5, BundleVerdict::kNewer},
                           Case{5, 0, BundleVerdict::kNewer},
                           Case{0, 5, BundleVerdict::kNewer},
                           Case{0, 0, BundleVerdict::kNewer},
                           Case{1, kLargest, BundleVerdict::kNewer},
                           Case{kLargest, 1, BundleVerdict::kOlder}}) {
    const Bundle held = BundleWith(pair.held, "a");
    EXPECT_EQ(JudgeBundle(&held, BundleWith(pair.fetched, "b")), pair.verdict)
        << pair.held << " then " << pair.fetched;
  }
  EXPECT_EQ(JudgeBundle(nullptr, BundleWith(0, "a")), BundleVerdict::kNewer);
  for (const std::uint64_t sequence : {std::uint64_t{0}, std::uint64_t{5}}) {
    const Bundle held = BundleWith(sequence, "a");
    EXPECT_EQ(JudgeBundle(&held, held), BundleVerdict::kUnchanged);
  }
}

TEST(FederationPolicyTest, FED_17_RedirectsLeadToHttpsOnly) {
  const HttpUrl from = ParseHttpUrl("https://b.example:8443/bundle").value();
  const std::vector<std::pair<std::string, std::string>> followed = {
      {"https://c.example/x?y=z", "https://c.example/x?y=z"},
      {"https://b.example:8443/other", "https://b.example:8443/other"},
      {"/other", "https://b.example:8443/other"},
  };
  for (const auto& [location, target] : followed) {
    const auto url = RedirectTarget(from, location);
    ASSERT_THAT(url, IsOk()) << location;
    EXPECT_EQ(url->Origin() + url->target, target);
  }
  for (const char* location : {"",
                               "http://b.example/bundle",
                               "http://127.0.0.1/bundle",
                               "HTTP://localhost/",
                               "//c.example/bundle",
                               "bundle",
                               "https://user@c.example/",
                               "https://c.example/#part",
                               "file:///etc/passwd",
                               "https://c.example/a b"}) {
    EXPECT_THAT(RedirectTarget(from, location),
                FailsWith(Code::kInvalidArgument, HasSubstr("redirect is not followed")))
        << location;
  }
}

class BundleServerTest : public testing::Test {
 protected:
  BundleServerTest() { bundle_.add_x509_authorities()->set_asn1(root_.certificate()); }

  Result<void> Verify(const std::string& shown, const CertificateSpec* other = nullptr) const {
    const CertificateSpec spec = other == nullptr ? CertificateSpec::Leaf(shown) : *other;
    return VerifyBundleServer({root_.Issue(TestKey(KeyType::kEcP256), spec)},
                              SpiffeId::Parse("spiffe://b.test/server").value(),
                              bundle_,
                              TestNow());
  }

  TestAuthority root_ = TestAuthority::Root();
  Bundle bundle_;
};

TEST_F(BundleServerTest, FED_23_ExactlyTheConfiguredIdServes) {
  EXPECT_THAT(Verify("spiffe://b.test/server"), IsOk());
  EXPECT_THAT(Verify("spiffe://b.test/server/"), FailsWithCode(Code::kInvalidArgument));
  for (const char* other :
       {"spiffe://b.test/web", "spiffe://b.test/server/x", "spiffe://c.test/server"}) {
    EXPECT_THAT(Verify(other), FailsWith(Code::kUnauthenticated, HasSubstr(other)));
  }
}

TEST_F(BundleServerTest, FED_23_TheCertificateIsAValidX509Svid) {
  CertificateSpec expired = CertificateSpec::Leaf("spiffe://b.test/server");
  expired.not_after = TestNow() - seconds(1);
  EXPECT_THAT(Verify("", &expired), FailsWith(Code::kUnauthenticated, HasSubstr("expired")));
  CertificateSpec web = CertificateSpec::Leaf("spiffe://b.test/server");
  web.subject_alt_name = "DNS:b.example";
  EXPECT_THAT(Verify("", &web), FailsWithCode(Code::kInvalidArgument));
  EXPECT_THAT(
      VerifyBundleServer({}, SpiffeId::Parse("spiffe://b.test/server").value(), bundle_, TestNow()),
      FailsWithCode(Code::kInvalidArgument));
}

TEST_F(BundleServerTest, FED_6_OnlyAuthoritiesOfItsOwnTrustDomainCount) {
  bundle_.clear_x509_authorities();
  EXPECT_THAT(Verify("spiffe://b.test/server"), FailsWithCode(Code::kUnauthenticated));
  bundle_.add_x509_authorities()->set_asn1(TestAuthority::Root().certificate());
  EXPECT_THAT(Verify("spiffe://b.test/server"), FailsWithCode(Code::kUnauthenticated));
}

}  // namespace
}  // namespace credence
