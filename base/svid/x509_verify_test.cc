#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "base/svid/testing/test_authority.h"
#include "base/svid/x509_svid.h"

namespace credence {
namespace {

using testing::HasSubstr;

constexpr std::string_view kLeafId = "spiffe://example.org/web";

const PrivateKey& LeafKey() {
  return TestKey(KeyType::kEcP256);
}

X509SvidChain Chain(std::vector<std::string> certificates) {
  auto chain = ParseX509SvidChain(std::move(certificates));
  CREDENCE_CHECK(chain.ok());
  return *std::move(chain);
}

class X509VerifyTest : public testing::Test {
 protected:
  Result<void> Verify(const X509SvidChain& chain) const {
    return VerifyX509Svid(chain, {root_.certificate()}, TestNow());
  }
  X509SvidChain Issue(const TestAuthority& by, std::vector<std::string> above = {}) const {
    above.insert(above.begin(), by.Issue(LeafKey(), CertificateSpec::Leaf(kLeafId)));
    return Chain(std::move(above));
  }

  TestAuthority root_ = TestAuthority::Root();
};

TEST_F(X509VerifyTest, ALeafOfTheRootIsTrusted) {
  EXPECT_THAT(Verify(Issue(root_)), IsOk());
}

TEST_F(X509VerifyTest, X509_8_TwoIntermediatesAreFollowed) {
  const TestAuthority upper = root_.Sub(CertificateSpec::Ca("upper"));
  const TestAuthority lower = upper.Sub(CertificateSpec::Ca("lower"));
  EXPECT_THAT(Verify(Issue(lower, {lower.certificate(), upper.certificate()})), IsOk());
  EXPECT_THAT(Verify(Issue(lower, {lower.certificate()})),
              FailsWith(Code::kUnauthenticated, HasSubstr("unable to get")));
}

TEST_F(X509VerifyTest, X509_6_AnIntermediateInTheBundleIsEnough) {
  const TestAuthority middle = root_.Sub(CertificateSpec::Ca("middle", "spiffe://example.org"));
  const X509SvidChain chain = Issue(middle);
  EXPECT_THAT(VerifyX509Svid(chain, {middle.certificate()}, TestNow()), IsOk());
  EXPECT_THAT(Verify(chain), FailsWithCode(Code::kUnauthenticated));
}

TEST_F(X509VerifyTest, ID_21_ARootThatBearsItsTrustDomainsIdIsAnAuthority) {
  const TestAuthority root = TestAuthority::Root(CertificateSpec::Ca("r", "spiffe://example.org"));
  EXPECT_THAT(VerifyX509Svid(Issue(root), {root.certificate()}, TestNow()), IsOk());
}

TEST_F(X509VerifyTest, X509_30_TheUnionOfRootsIsTrusted) {
  const TestAuthority other = TestAuthority::Root(CertificateSpec::Ca("other"));
  const std::vector<std::string> both = {root_.certificate(), other.certificate()};
  EXPECT_THAT(VerifyX509Svid(Issue(root_), both, TestNow()), IsOk());
  EXPECT_THAT(VerifyX509Svid(Issue(other), both, TestNow()), IsOk());
}

TEST_F(X509VerifyTest, TDB_6_NoAuthorityTrustsNothing) {
  EXPECT_THAT(VerifyX509Svid(Issue(root_), {}, TestNow()), FailsWithCode(Code::kUnauthenticated));
}

TEST_F(X509VerifyTest, ID_24_X509_24_AnotherDomainsAuthorityIsNoHelp) {
  // The same name and another key: the signature must decide, not the name.
  const TestAuthority impostor = TestAuthority::Root();
  EXPECT_THAT(Verify(Issue(impostor)), FailsWithCode(Code::kUnauthenticated));
  EXPECT_THAT(Verify(Issue(impostor, {impostor.certificate()})),
              FailsWithCode(Code::kUnauthenticated));
}

TEST_F(X509VerifyTest, X509_21_TimeDecides) {
  const X509SvidChain chain = Issue(root_);
  const auto at = [&](std::chrono::seconds offset) {
    return VerifyX509Svid(chain, {root_.certificate()}, TestNow() + offset);
  };
  EXPECT_THAT(at(std::chrono::minutes(30) - std::chrono::seconds(1)), IsOk());
  EXPECT_THAT(at(std::chrono::minutes(30) + std::chrono::seconds(1)),
              FailsWith(Code::kUnauthenticated, HasSubstr("expired")));
  EXPECT_THAT(at(-std::chrono::minutes(30)), IsOk());
  EXPECT_THAT(at(-std::chrono::minutes(30) - std::chrono::seconds(1)),
              FailsWith(Code::kUnauthenticated, HasSubstr("not yet valid")));
}

TEST_F(X509VerifyTest, X509_21_AnAlteredCertificateIsRefused) {
  X509SvidChain chain = Issue(root_);
  std::string& der = chain.certificates.front();
  const std::size_t at = der.find("workload");
  ASSERT_NE(at, std::string::npos);
  der[at] = 'W';
  EXPECT_THAT(Verify(chain), FailsWith(Code::kUnauthenticated, HasSubstr("signature")));
}

TEST_F(X509VerifyTest, X509_21_AnUnknownCriticalExtensionIsRefused) {
  CertificateSpec spec = CertificateSpec::Leaf(kLeafId);
  spec.others = {{"1.2.3.4.5", "ASN1:UTF8String:x"}};
  EXPECT_THAT(Verify(Chain({root_.Issue(LeafKey(), spec)})), IsOk());
  spec.others = {{"1.2.3.4.5", "critical,ASN1:UTF8String:x"}};
  EXPECT_THAT(Verify(Chain({root_.Issue(LeafKey(), spec)})),
              FailsWith(Code::kUnauthenticated, HasSubstr("critical extension")));
}

TEST_F(X509VerifyTest, X509_11_PathLengthIsHonoured) {
  CertificateSpec spec = CertificateSpec::Ca("root");
  spec.basic_constraints = "critical,CA:TRUE,pathlen:0";
  const TestAuthority root = TestAuthority::Root(spec);
  const TestAuthority sub = root.Sub(CertificateSpec::Ca("sub"));
  EXPECT_THAT(VerifyX509Svid(Issue(root), {root.certificate()}, TestNow()), IsOk());
  EXPECT_THAT(VerifyX509Svid(Issue(sub, {sub.certificate()}), {root.certificate()}, TestNow()),
              FailsWith(Code::kUnauthenticated, HasSubstr("path length")));
}

TEST_F(X509VerifyTest, X509_12_13_UriNameConstraintsBind) {
  const auto verify_under = [&](std::string_view constraints) {
    CertificateSpec spec = CertificateSpec::Ca("constrained");
    spec.name_constraints = constraints;
    const TestAuthority sub = root_.Sub(spec);
    return Verify(Issue(sub, {sub.certificate()}));
  };
  EXPECT_THAT(verify_under("critical,permitted;URI:example.org"), IsOk());
  EXPECT_THAT(verify_under("critical,permitted;URI:other.org"),
              FailsWith(Code::kUnauthenticated, HasSubstr("permitted subtree")));
  EXPECT_THAT(verify_under("critical,excluded;URI:example.org"),
              FailsWith(Code::kUnauthenticated, HasSubstr("excluded subtree")));
  EXPECT_THAT(verify_under("critical,excluded;URI:other.org"), IsOk());
}

TEST_F(X509VerifyTest, X509_15_AnIssuerWithoutKeyCertSignIsRefused) {
  CertificateSpec spec = CertificateSpec::Ca("sub");
  spec.key_usage = "critical,digitalSignature";
  const TestAuthority sub = root_.Sub(spec);
  EXPECT_THAT(Verify(Issue(sub, {sub.certificate()})), FailsWithCode(Code::kUnauthenticated));
}

TEST_F(X509VerifyTest, X509_10_ALeafIssuesNothing) {
  const TestAuthority leaf = root_.Sub(CertificateSpec::Leaf(kLeafId));
  EXPECT_THAT(Verify(Issue(leaf, {leaf.certificate()})), FailsWithCode(Code::kUnauthenticated));
}

TEST_F(X509VerifyTest, X509_9_ALeafInTheBundleDoesNotVouchForItself) {
  const X509SvidChain chain = Issue(root_);
  EXPECT_THAT(VerifyX509Svid(chain, chain.certificates, TestNow()),
              FailsWithCode(Code::kUnauthenticated));
}

TEST_F(X509VerifyTest, X509_20_ExtendedKeyUsageOfAnIssuerIsNotEnforced) {
  CertificateSpec ca = CertificateSpec::Ca("sub");
  ca.extended_key_usage = "codeSigning";
  const TestAuthority sub = root_.Sub(ca);
  EXPECT_THAT(Verify(Issue(sub, {sub.certificate()})), IsOk());
}

TEST_F(X509VerifyTest, X509_7_ACaWithAPathInItsIdIsStillUsed) {
  const TestAuthority sub = root_.Sub(CertificateSpec::Ca("sub", "spiffe://example.org/ca"));
  EXPECT_THAT(Verify(Issue(sub, {sub.certificate()})), IsOk());
}

TEST_F(X509VerifyTest, WeakSignaturesAndKeysAreRefused) {
  CertificateSpec spec = CertificateSpec::Leaf(kLeafId);
  spec.digest = "SHA1";
  EXPECT_THAT(Verify(Chain({root_.Issue(LeafKey(), spec)})),
              FailsWith(Code::kUnauthenticated, HasSubstr("too weak")));
  EXPECT_THAT(Verify(Chain({root_.Issue(MakeTestRsaKey(1024), CertificateSpec::Leaf(kLeafId))})),
              FailsWith(Code::kUnauthenticated, HasSubstr("key too weak")));
}

TEST_F(X509VerifyTest, ID_22_TheIdOfTheChainMustBeTheCertificates) {
  X509SvidChain chain = Issue(root_);
  chain.id = *SpiffeId::Parse("spiffe://example.org/db");
  EXPECT_THAT(Verify(chain), FailsWith(Code::kUnauthenticated, HasSubstr("SPIFFE ID")));
}

TEST_F(X509VerifyTest, X509_22_LeafRulesHoldHereToo) {
  X509SvidChain chain = Issue(root_);
  chain.certificates = {root_.certificate()};
  EXPECT_THAT(Verify(chain), FailsWith(Code::kUnauthenticated, HasSubstr("CA certificate")));
}

}  // namespace
}  // namespace credence
