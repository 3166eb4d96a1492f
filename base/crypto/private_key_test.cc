#include "base/crypto/private_key.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>

#include "base/core/testing/result_matchers.h"
#include "base/crypto/certificate.h"
#include "base/crypto/openssl.h"

namespace credence {
namespace {

using testing::HasSubstr;

PrivateKey Make(KeyType type) {
  auto key = PrivateKey::Generate(type);
  CREDENCE_CHECK(key.ok());
  return *std::move(key);
}

/// What a traditional PEM writer makes of `key`; with `passphrase` it is encrypted.
SecretBytes TraditionalPem(const PrivateKey& key, const char* passphrase = nullptr) {
  const OpenSslPtr<BIO> bio(BIO_new(BIO_s_mem()));
  const EVP_CIPHER* cipher = passphrase == nullptr ? nullptr : EVP_aes_128_cbc();
  CREDENCE_CHECK(PEM_write_bio_PrivateKey_traditional(
                     bio.get(),
                     key.get(),
                     cipher,
                     AsUnsigned(std::string_view(passphrase == nullptr ? "" : passphrase)),
                     passphrase == nullptr ? 0 : 6,
                     nullptr,
                     nullptr) == 1);
  char* data = nullptr;
  const auto size = static_cast<std::size_t>(BIO_get_mem_data(bio.get(), &data));
  return SecretBytes::CopyOf(std::string_view(data, size));
}

TEST(KeyTypeTest, ReadsSpiresWords) {
  EXPECT_THAT(ParseKeyType("ec-p256"), IsOkAndHolds(KeyType::kEcP256));
  EXPECT_THAT(ParseKeyType("ec-p384"), IsOkAndHolds(KeyType::kEcP384));
  EXPECT_THAT(ParseKeyType("rsa-2048"), IsOkAndHolds(KeyType::kRsa2048));
  for (const char* bad : {"", "rsa-4096", "EC-P256", "ec-p256 "}) {
    EXPECT_THAT(ParseKeyType(bad), FailsWith(Code::kInvalidArgument, HasSubstr("ec-p384"))) << bad;
  }
}

class PrivateKeyTest : public testing::TestWithParam<KeyType> {};

TEST_P(PrivateKeyTest, EveryEncodingRoundTrips) {
  const PrivateKey key = Make(GetParam());
  const auto from_der = PrivateKey::FromPkcs8(key.ToPkcs8());
  const auto from_pem = PrivateKey::FromPem(key.ToPkcs8Pem());
  const auto from_traditional = PrivateKey::FromPem(TraditionalPem(key));
  ASSERT_THAT(from_der, IsOk());
  ASSERT_THAT(from_pem, IsOk());
  ASSERT_THAT(from_traditional, IsOk());
  EXPECT_EQ(from_der->PublicKey(), key.PublicKey());
  EXPECT_EQ(from_pem->PublicKey(), key.PublicKey());
  EXPECT_EQ(from_traditional->PublicKey(), key.PublicKey());
  EXPECT_TRUE(ConstantTimeEqual(from_pem->ToPkcs8(), key.ToPkcs8()));
}

TEST_P(PrivateKeyTest, PemIsPkcs8) {
  EXPECT_TRUE(Make(GetParam()).ToPkcs8Pem().Reveal().starts_with("-----BEGIN PRIVATE KEY-----\n"));
}

TEST_P(PrivateKeyTest, TwoKeysDiffer) {
  EXPECT_NE(Make(GetParam()).PublicKey(), Make(GetParam()).PublicKey());
}

TEST_P(PrivateKeyTest, AnEncryptedKeyIsRefusedWithoutAsking) {
  EXPECT_THAT(PrivateKey::FromPem(TraditionalPem(Make(GetParam()), "secret")),
              FailsWith(Code::kInvalidArgument, HasSubstr("unencrypted")));
}

TEST_P(PrivateKeyTest, ARequestIsSignedAndNamesTheUri) {
  const PrivateKey key = Make(GetParam());
  const auto der = MakeCsr(key, "spiffe://example.org/web");
  ASSERT_THAT(der, IsOk());
  const unsigned char* at = AsUnsigned(std::string_view(*der));
  const OpenSslPtr<X509_REQ> request(d2i_X509_REQ(nullptr, &at, static_cast<long>(der->size())));
  ASSERT_NE(request, nullptr);
  EXPECT_EQ(X509_REQ_verify(request.get(), key.get()), 1);
  const bool p384 = GetParam() == KeyType::kEcP384;
  const bool rsa = GetParam() == KeyType::kRsa2048;
  EXPECT_EQ(X509_REQ_get_signature_nid(request.get()),
            rsa    ? NID_sha256WithRSAEncryption
            : p384 ? NID_ecdsa_with_SHA384
                   : NID_ecdsa_with_SHA256);
  EXPECT_THAT(*der, HasSubstr("spiffe://example.org/web"));
}

INSTANTIATE_TEST_SUITE_P(Types,
                         PrivateKeyTest,
                         testing::Values(KeyType::kEcP256, KeyType::kEcP384, KeyType::kRsa2048),
                         [](const auto& test) {
                           switch (test.param) {
                             case KeyType::kEcP256:
                               return "EcP256";
                             case KeyType::kEcP384:
                               return "EcP384";
                             case KeyType::kRsa2048:
                               return "Rsa2048";
                           }
                           return "?";
                         });

TEST(MakeCsrTest, HasSpiresSubjectAndNoExtensionWithoutAUri) {
  const auto der = MakeCsr(Make(KeyType::kEcP256), "");
  ASSERT_THAT(der, IsOk());
  const unsigned char* at = AsUnsigned(std::string_view(*der));
  const OpenSslPtr<X509_REQ> request(d2i_X509_REQ(nullptr, &at, static_cast<long>(der->size())));
  ASSERT_NE(request, nullptr);
  std::array<char, 64> subject{};
  X509_NAME_oneline(X509_REQ_get_subject_name(request.get()), subject.data(), subject.size());
  EXPECT_STREQ(subject.data(), "/C=US/O=SPIRE");
  EXPECT_EQ(X509_REQ_get_attr_count(request.get()), 0);
}

TEST(MakeCsrTest, RefusesAUriThatIsTooLong) {
  EXPECT_THAT(MakeCsr(Make(KeyType::kEcP256), std::string(2048, 'a')), IsOk());
  EXPECT_THAT(MakeCsr(Make(KeyType::kEcP256), std::string(2049, 'a')),
              FailsWithCode(Code::kInvalidArgument));
}

TEST(FromPkcs8Test, RefusesWhatIsNotOnePkcs8Key) {
  const PrivateKey key = Make(KeyType::kEcP256);
  const std::string der(key.ToPkcs8().Reveal());
  for (const std::string& bad : {std::string(),
                                 std::string("x"),
                                 der + "x",
                                 der.substr(0, der.size() - 1),
                                 key.PublicKey()}) {
    EXPECT_THAT(PrivateKey::FromPkcs8(SecretBytes::CopyOf(bad)),
                FailsWithCode(Code::kInvalidArgument));
  }
}

TEST(FromPemTest, RefusesWhatHoldsNoPrivateKey) {
  for (const char* bad : {"",
                          "x",
                          "-----BEGIN PRIVATE KEY-----\n",
                          "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}) {
    EXPECT_THAT(PrivateKey::FromPem(SecretBytes::CopyOf(bad)),
                FailsWithCode(Code::kInvalidArgument))
        << bad;
  }
}

TEST(FromPemTest, RefusesOtherKindsOfKeys) {
  const OpenSslPtr<EVP_PKEY> key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  const OpenSslPtr<BIO> bio(BIO_new(BIO_s_mem()));
  ASSERT_EQ(
      PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr),
      1);
  char* data = nullptr;
  const auto size = static_cast<std::size_t>(BIO_get_mem_data(bio.get(), &data));
  EXPECT_THAT(PrivateKey::FromPem(SecretBytes::CopyOf(std::string_view(data, size))),
              FailsWith(Code::kInvalidArgument, HasSubstr("neither")));
}

}  // namespace
}  // namespace credence
