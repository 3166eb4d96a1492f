#include "base/svid/x509_svid.h"

#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "base/svid/testing/test_authority.h"

namespace credence {
namespace {

using testing::HasSubstr;

constexpr std::string_view kId = "spiffe://example.org/web";

const TestAuthority& Root() {
  static const TestAuthority root = TestAuthority::Root();
  return root;
}

Result<X509SvidChain> ParseLeaf(const CertificateSpec& spec) {
  return ParseX509SvidChain({Root().Issue(TestKey(KeyType::kEcP256), spec)});
}

CertificateSpec WithSan(std::string_view names) {
  CertificateSpec spec = CertificateSpec::Leaf(kId);
  spec.subject_alt_name = names;
  return spec;
}

CertificateSpec WithUsage(std::string_view usage) {
  CertificateSpec spec = CertificateSpec::Leaf(kId);
  spec.key_usage = usage;
  return spec;
}

CertificateSpec WithExtendedUsage(std::string_view usage) {
  CertificateSpec spec = CertificateSpec::Leaf(kId);
  spec.extended_key_usage = usage;
  return spec;
}

CertificateSpec WithConstraints(std::string_view constraints) {
  CertificateSpec spec = CertificateSpec::Leaf(kId);
  spec.basic_constraints = constraints;
  return spec;
}

CertificateSpec WithoutSubject(std::string_view names) {
  CertificateSpec spec = WithSan(names);
  spec.empty_subject = true;
  return spec;
}

struct LeafCase {
  std::string name;
  CertificateSpec spec;
  /// Part of the refusal; "" when the leaf is accepted.
  std::string refusal;
};

class X509LeafTest : public testing::TestWithParam<LeafCase> {};

TEST_P(X509LeafTest, IsHeldToTheRules) {
  const auto chain = ParseLeaf(GetParam().spec);
  if (GetParam().refusal.empty()) {
    EXPECT_THAT(chain, IsOk());
  } else {
    EXPECT_THAT(chain, FailsWith(Code::kInvalidArgument, HasSubstr(GetParam().refusal)));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Names,
    X509LeafTest,
    testing::Values(
        LeafCase{"X509_1_OneUri", CertificateSpec::Leaf(kId), ""},
        LeafCase{"X509_2_TwoSpiffeUris",
                 WithSan("URI:spiffe://example.org/a,URI:spiffe://example.org/b"),
                 "more than one"},
        LeafCase{"X509_2_TheSameUriTwice",
                 WithSan("URI:spiffe://example.org/a,URI:spiffe://example.org/a"),
                 "more than one"},
        LeafCase{"X509_2_OneSpiffeOneHttps",
                 WithSan("URI:spiffe://example.org/a,URI:https://a"),
                 "more than one"},
        LeafCase{"X509_2_HttpsFirst",
                 WithSan("URI:https://a,URI:spiffe://example.org/a"),
                 "more than one"},
        LeafCase{
            "X509_3_OtherNames",
            WithSan("DNS:a.example,IP:10.0.0.1,email:a@b.example,URI:spiffe://example.org/web"),
            ""},
        LeafCase{"X509_4_NoPath", WithSan("URI:spiffe://example.org"), "path"},
        LeafCase{"X509_5_EmptySubjectCritical",
                 WithoutSubject("critical,URI:spiffe://example.org/web"),
                 ""},
        LeafCase{"X509_5_EmptySubjectNotCritical",
                 WithoutSubject("URI:spiffe://example.org/web"),
                 "critical"},
        LeafCase{"X509_23_Https", WithSan("URI:https://example.org/web"), "spiffe://"},
        LeafCase{"X509_23_UpperCaseScheme", WithSan("URI:SPIFFE://example.org/web"), "spiffe://"},
        LeafCase{"X509_23_NoUri", WithSan("DNS:web.example.org"), "no URI"},
        LeafCase{"X509_23_UriTextAsDns", WithSan("DNS:spiffe://example.org/web"), "no URI"},
        LeafCase{"X509_23_NoNames", WithSan(""), "alternative name"},
        LeafCase{"ID_7_UpperCaseDomain", WithSan("URI:spiffe://Example.org/web"), "lower case"},
        LeafCase{"ID_13_TrailingSlash", WithSan("URI:spiffe://example.org/web/"), "empty segment"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Usage,
    X509LeafTest,
    testing::Values(
        LeafCase{"X509_10_NoBasicConstraints", WithConstraints(""), ""},
        LeafCase{"X509_10_Ca", WithConstraints("critical,CA:TRUE"), "CA certificate"},
        LeafCase{"X509_14_NoKeyUsage", WithUsage(""), "key usage"},
        LeafCase{"X509_14_NotCritical", WithUsage("digitalSignature"), "critical key usage"},
        LeafCase{"X509_16_OnlyDigitalSignature", WithUsage("critical,digitalSignature"), ""},
        LeafCase{"X509_16_NoDigitalSignature",
                 WithUsage("critical,keyEncipherment"),
                 "digitalSignature"},
        LeafCase{"X509_17_KeyCertSign",
                 WithUsage("critical,digitalSignature,keyCertSign"),
                 "keyCertSign"},
        LeafCase{"X509_17_CrlSign", WithUsage("critical,digitalSignature,cRLSign"), "cRLSign"},
        LeafCase{"X509_18_NoExtendedKeyUsage", WithExtendedUsage(""), ""},
        LeafCase{"X509_18_Critical", WithExtendedUsage("critical,serverAuth,clientAuth"), ""},
        LeafCase{
            "X509_19_BothAndAnother", WithExtendedUsage("serverAuth,clientAuth,codeSigning"), ""},
        LeafCase{"X509_19_OnlyClient", WithExtendedUsage("clientAuth"), "extended key usage"},
        LeafCase{"X509_19_OnlyServer", WithExtendedUsage("serverAuth"), "extended key usage"},
        LeafCase{"X509_19_Neither", WithExtendedUsage("codeSigning"), "extended key usage"},
        LeafCase{"X509_19_Any", WithExtendedUsage("anyExtendedKeyUsage"), "extended key usage"}),
    [](const auto& test) { return test.param.name; });

TEST(X509SvidChainTest, ReadsIdAndValidity) {
  const auto chain = ParseLeaf(CertificateSpec::Leaf(kId));
  ASSERT_THAT(chain, IsOk());
  EXPECT_EQ(chain->id.text(), kId);
  EXPECT_EQ(chain->not_before, TestNow() - std::chrono::minutes(30));
  EXPECT_EQ(chain->not_after, TestNow() + std::chrono::minutes(30));
  EXPECT_EQ(chain->certificates.size(), 1U);
}

TEST(X509SvidChainTest, ID_16_AnIdOf2048BytesIsAccepted) {
  const std::string id = "spiffe://example.org/" + std::string(2048 - 21, 'a');
  EXPECT_THAT(ParseLeaf(CertificateSpec::Leaf(id)), IsOk());
  EXPECT_THAT(ParseLeaf(CertificateSpec::Leaf(id + "a")),
              FailsWith(Code::kInvalidArgument, HasSubstr("2048")));
}

TEST(X509SvidChainTest, AValidityForEverDoesNotOverflow) {
  CertificateSpec spec = CertificateSpec::Leaf(kId);
  spec.not_after = FromUnixSeconds(8'999'999'999);
  std::string der = Root().Issue(TestKey(KeyType::kEcP256), spec);
  const std::size_t at = der.find("22550314155959Z");
  ASSERT_NE(at, std::string::npos);
  der.replace(at, 15, "99991231235959Z");
  const auto chain = ParseX509SvidChain({der});
  ASSERT_THAT(chain, IsOk());
  EXPECT_GT(chain->not_after, TestNow() + std::chrono::hours(24) * 365 * 200);
}

TEST(X509SvidChainTest, RefusesWhatIsNoChain) {
  const std::string leaf = Root().Issue(TestKey(KeyType::kEcP256), CertificateSpec::Leaf(kId));
  EXPECT_THAT(ParseX509SvidChain({}),
              FailsWith(Code::kInvalidArgument, HasSubstr("no certificate")));
  EXPECT_THAT(ParseX509SvidChain({""}),
              FailsWith(Code::kInvalidArgument, HasSubstr("certificate 0")));
  EXPECT_THAT(ParseX509SvidChain({leaf + "x"}),
              FailsWith(Code::kInvalidArgument, HasSubstr("bytes follow")));
  EXPECT_THAT(ParseX509SvidChain({leaf.substr(0, leaf.size() - 1)}),
              FailsWith(Code::kInvalidArgument, HasSubstr("certificate 0")));
  EXPECT_THAT(ParseX509SvidChain({leaf, "no certificate"}),
              FailsWith(Code::kInvalidArgument, HasSubstr("certificate 1")));
  EXPECT_THAT(ParseX509SvidChain(std::vector<std::string>(17, leaf)),
              FailsWith(Code::kInvalidArgument, HasSubstr("more than 16")));
}

}  // namespace
}  // namespace credence
