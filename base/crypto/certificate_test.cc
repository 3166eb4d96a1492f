#include "base/crypto/certificate.h"

#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/core/file.h"
#include "base/core/testing/result_matchers.h"
#include "base/crypto/private_key.h"

namespace credence {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// A self-signed certificate with nothing in it but a name and a key.
std::string MakeCertificate(const PrivateKey& key) {
  const OpenSslPtr<X509> made(X509_new());
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), 60);
  CREDENCE_CHECK(X509_set_pubkey(made.get(), key.get()) == 1 &&
                 X509_sign(made.get(), key.get(), EVP_sha256()) > 0);
  return ToDer<const X509>(made.get(), i2d_X509);
}

class CertificateTest : public testing::Test {
 protected:
  PrivateKey key_ = *PrivateKey::Generate(KeyType::kEcP256);
  std::string one_ = MakeCertificate(key_);
  std::string two_ = MakeCertificate(*PrivateKey::Generate(KeyType::kEcP384));
};

TEST_F(CertificateTest, ParsesOneAndNothingMore) {
  EXPECT_THAT(ParseCertificate(one_), IsOk());
  EXPECT_THAT(ParseCertificate(one_ + two_),
              FailsWith(Code::kInvalidArgument, HasSubstr("follow")));
  EXPECT_THAT(ParseCertificate(""), FailsWithCode(Code::kInvalidArgument));
  EXPECT_THAT(ParseCertificate(one_.substr(1)), FailsWithCode(Code::kInvalidArgument));
}

TEST_F(CertificateTest, SplitsConcatenatedDer) {
  EXPECT_THAT(SplitCertificates(one_ + two_), IsOkAndHolds(ElementsAre(one_, two_)));
  EXPECT_THAT(SplitCertificates(""), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(SplitCertificates(one_ + "x"),
              FailsWith(Code::kInvalidArgument, HasSubstr("certificate 1")));
}

TEST_F(CertificateTest, PemRoundTrips) {
  EXPECT_THAT(CertificateToPem(std::string(48 * 2, 'x')),
              testing::MatchesRegex(
                  "-----BEGIN CERTIFICATE-----\n.{64}\n.{64}\n-----END CERTIFICATE-----\n"));
  const std::string pem = CertificatesToPem({one_, two_});
  EXPECT_THAT(pem, testing::StartsWith("-----BEGIN CERTIFICATE-----\nMI"));
  EXPECT_THAT(pem, testing::EndsWith("\n-----END CERTIFICATE-----\n"));
  EXPECT_THAT(CertificatesFromPem(pem), IsOkAndHolds(ElementsAre(one_, two_)));
  EXPECT_EQ(CertificatesToPem({}), "");
}

TEST_F(CertificateTest, PemMayHaveTextBetweenBlocks) {
  EXPECT_THAT(CertificatesFromPem("subject=a\r\n" + CertificateToPem(one_) + "\n\n# b\n" +
                                  CertificateToPem(two_)),
              IsOkAndHolds(ElementsAre(one_, two_)));
}

TEST_F(CertificateTest, PemOfOtherKindsOrDamagedIsRefused) {
  const std::string good = CertificateToPem(one_);
  const std::string key(key_.ToPkcs8Pem().Reveal());
  EXPECT_THAT(CertificatesFromPem(""),
              FailsWith(Code::kInvalidArgument, HasSubstr("no CERTIFICATE")));
  EXPECT_THAT(CertificatesFromPem(good + key),
              FailsWith(Code::kInvalidArgument, HasSubstr("not a CERT")));
  EXPECT_THAT(CertificatesFromPem(good + good.substr(0, good.size() - 30)),
              FailsWith(Code::kInvalidArgument, HasSubstr("damaged")));
  EXPECT_THAT(CertificatesFromPem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
              FailsWith(Code::kInvalidArgument, HasSubstr("DER certificate")));
  EXPECT_THAT(CertificatesFromPem(std::string(kMaxPemBytes + 1, 'x')),
              FailsWith(Code::kInvalidArgument, HasSubstr("longer")));
}

TEST_F(CertificateTest, AFileErrorNamesThePath) {
  const std::string path = fmt::format("{}/certificate_test.{}.pem", testing::TempDir(), getpid());
  EXPECT_THAT(ReadCertificateFile(path), FailsWith(Code::kNotFound, HasSubstr(path)));
  ASSERT_THAT(WriteFileAtomically(path, CertificateToPem(one_), 0600), IsOk());
  EXPECT_THAT(ReadCertificateFile(path), IsOkAndHolds(ElementsAre(one_)));
  ASSERT_THAT(WriteFileAtomically(path, "nothing", 0600), IsOk());
  EXPECT_THAT(ReadCertificateFile(path), FailsWith(Code::kInvalidArgument, HasSubstr(path)));
  unlink(path.c_str());
}

TEST_F(CertificateTest, PublicKeysAreReadOutAndParsed) {
  EXPECT_THAT(PublicKeyOf(one_), IsOkAndHolds(key_.PublicKey()));
  EXPECT_THAT(ParsePublicKey(key_.PublicKey()), IsOk());
  EXPECT_THAT(ParsePublicKey(key_.PublicKey() + "x"), FailsWithCode(Code::kInvalidArgument));
  EXPECT_THAT(ParsePublicKey(one_), FailsWithCode(Code::kInvalidArgument));
  EXPECT_THAT(ParsePublicKey(""), FailsWithCode(Code::kInvalidArgument));
}

}  // namespace
}  // namespace credence
