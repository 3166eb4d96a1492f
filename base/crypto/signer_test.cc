#include "base/crypto/signer.h"

#include <gtest/gtest.h>
#include <openssl/rsa.h>

#include "base/core/testing/result_matchers.h"
#include "base/crypto/openssl.h"

namespace credence {
namespace {

PrivateKey MakeKey(KeyType type) {
  auto key = PrivateKey::Generate(type);
  CREDENCE_CHECK(key.ok());
  return *std::move(key);
}

/// Verifies with any salt length, as Go's server does.
bool VerifiesAsPss(const PrivateKey& key,
                   const Sha256Digest& digest,
                   const std::string& signature) {
  const OpenSslPtr<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new(key.get(), nullptr));
  return EVP_PKEY_verify_init(context.get()) == 1 &&
         EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_signature_md(context.get(), EVP_sha256()) == 1 &&
         EVP_PKEY_CTX_set_rsa_mgf1_md(context.get(), EVP_sha256()) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context.get(), RSA_PSS_SALTLEN_AUTO) == 1 &&
         EVP_PKEY_verify(context.get(),
                         AsUnsigned(std::string_view(signature)),
                         signature.size(),
                         digest.data(),
                         digest.size()) == 1;
}

bool VerifiesAsEcdsa(const PrivateKey& key,
                     const Sha256Digest& digest,
                     const EcdsaSignature& signature) {
  const OpenSslPtr<ECDSA_SIG> pair(ECDSA_SIG_new());
  const auto number = [](const std::string& bytes) {
    return BN_bin2bn(AsUnsigned(std::string_view(bytes)), static_cast<int>(bytes.size()), nullptr);
  };
  ECDSA_SIG_set0(pair.get(), number(signature.r), number(signature.s));
  const std::string der = ToDer<const ECDSA_SIG>(pair.get(), i2d_ECDSA_SIG);
  const OpenSslPtr<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new(key.get(), nullptr));
  return EVP_PKEY_verify_init(context.get()) == 1 &&
         EVP_PKEY_verify(context.get(),
                         AsUnsigned(std::string_view(der)),
                         der.size(),
                         digest.data(),
                         digest.size()) == 1;
}

TEST(SignerTest, RsaSignaturesVerify) {
  const PrivateKey key = MakeKey(KeyType::kRsa2048);
  const Sha256Digest digest = Sha256("nonces");
  const auto signature = SignRsaPss(key, digest);
  ASSERT_THAT(signature, IsOk());
  EXPECT_EQ(signature->size(), 256U);
  EXPECT_TRUE(VerifiesAsPss(key, digest, *signature));
  EXPECT_FALSE(VerifiesAsPss(key, Sha256("other"), *signature));
}

TEST(SignerTest, EcdsaSignaturesVerifyOnEachCurve) {
  for (const KeyType type : {KeyType::kEcP256, KeyType::kEcP384}) {
    const PrivateKey key = MakeKey(type);
    const Sha256Digest digest = Sha256("nonces");
    const auto signature = SignEcdsa(key, digest);
    ASSERT_THAT(signature, IsOk());
    EXPECT_TRUE(VerifiesAsEcdsa(key, digest, *signature));
    EXPECT_FALSE(VerifiesAsEcdsa(key, Sha256("other"), *signature));
  }
}

TEST(SignerTest, NumbersHaveNoLeadingZeros) {
  const PrivateKey key = MakeKey(KeyType::kEcP256);
  for (int i = 0; i < 600; ++i) {
    const auto signature = SignEcdsa(key, Sha256(std::to_string(i)));
    ASSERT_THAT(signature, IsOk());
    ASSERT_NE(signature->r.front(), '\0');
    ASSERT_NE(signature->s.front(), '\0');
    ASSERT_LE(signature->r.size(), 32U);
  }
}

TEST(SignerTest, TheKeyMustFit) {
  const Sha256Digest digest = Sha256("x");
  EXPECT_THAT(SignRsaPss(MakeKey(KeyType::kEcP256), digest), FailsWithCode(Code::kInvalidArgument));
  EXPECT_THAT(SignEcdsa(MakeKey(KeyType::kRsa2048), digest), FailsWithCode(Code::kInvalidArgument));
  EXPECT_EQ(AlgorithmOf(MakeKey(KeyType::kEcP384)), KeyAlgorithm::kEc);
  EXPECT_EQ(AlgorithmOf(MakeKey(KeyType::kRsa2048)), KeyAlgorithm::kRsa);
}

}  // namespace
}  // namespace credence
