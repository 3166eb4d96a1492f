#include "base/svid/jwt_issuing.h"

#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "base/svid/jws.h"
#include "base/svid/jwt_svid.h"
#include "base/svid/testing/test_authority.h"

namespace credence {
namespace {

using testing::HasSubstr;

JwtSvidContent IssuedContent() {
  return JwtSvidContent{.subject = *SpiffeId::Parse("spiffe://example.org/web"),
                        .audience = {"db", "cache \"1\" ä"},
                        .issued_at = TestNow(),
                        .expires_at = TestNow() + std::chrono::minutes(5),
                        .issuer = "",
                        .jti = ""};
}

struct IssuingCase {
  std::string algorithm;
  KeyType type;
};

class JwtIssuingTest : public testing::TestWithParam<IssuingCase> {};

TEST_P(JwtIssuingTest, JWT_4_ATokenComesBackAsItWasAskedFor) {
  const PrivateKey& key = TestKey(GetParam().type);
  JwtSvidContent content = IssuedContent();
  content.issuer = "https://issuer.example.org";
  content.jti = "once";
  const auto token = SignJwtSvid(content, key, "key-1");
  ASSERT_THAT(token, IsOk());

  const auto trusted = ParseTrustedJwtSvid(token->Reveal());
  ASSERT_THAT(trusted, IsOk());
  EXPECT_EQ(trusted->id, content.subject);
  EXPECT_EQ(trusted->audience, content.audience);
  EXPECT_EQ(trusted->issued_at, content.issued_at);
  EXPECT_EQ(trusted->expires_at, content.expires_at);
  EXPECT_EQ(trusted->key_id, "key-1");
  EXPECT_EQ(trusted->algorithm, GetParam().algorithm);
  EXPECT_EQ(trusted->issuer, content.issuer);
  EXPECT_EQ(trusted->jti, "once");

  const auto domain = TrustDomain::Parse("example.org");
  const auto bundles_with = [&](const PrivateKey& authority) {
    return BundleSet{{"example.org",
                      std::make_shared<const TrustBundle>(
                          TrustBundle{*domain, {}, {{"key-1", authority.PublicKey()}}, 1})}};
  };
  EXPECT_THAT(ValidateJwtSvid(token->Reveal(), "db", bundles_with(key), TestNow()), IsOk());
  EXPECT_THAT(
      ValidateJwtSvid(
          token->Reveal(), "db", bundles_with(*PrivateKey::Generate(KeyType::kEcP256)), TestNow()),
      FailsWithCode(Code::kInvalidArgument));
}

INSTANTIATE_TEST_SUITE_P(Keys,
                         JwtIssuingTest,
                         testing::Values(IssuingCase{"ES256", KeyType::kEcP256},
                                         IssuingCase{"ES384", KeyType::kEcP384},
                                         IssuingCase{"RS256", KeyType::kRsa2048}),
                         [](const auto& test) { return test.param.algorithm; });

TEST(SignJwtSvidTest, AudienceIsAnArrayAndClaimsWithoutContentAreLeftOut) {
  JwtSvidContent content = IssuedContent();
  content.audience = {"db"};
  const auto token = SignJwtSvid(content, TestKey(KeyType::kEcP256), "key-1");
  ASSERT_THAT(token, IsOk());
  const auto jws = ParseJws(token->Reveal());
  ASSERT_THAT(jws, IsOk());
  EXPECT_EQ(jws->payload,
            R"({"sub":"spiffe://example.org/web","aud":["db"],"exp":1795305900,"iat":1795305600})");
}

TEST(SignJwtSvidTest, EveryEcdsaSignatureHasFullLength) {
  // One in 128 has a leading zero byte in r or s.
  for (int i = 0; i < 600; ++i) {
    const auto token = SignJwtSvid(IssuedContent(), TestKey(KeyType::kEcP256), "key-1");
    ASSERT_THAT(token, IsOk());
    const auto jws = ParseJws(token->Reveal());
    ASSERT_THAT(jws, IsOk());
    ASSERT_EQ(jws->signature.size(), 64U);
  }
}

TEST(SignJwtSvidTest, WhatMakesNoTokenIsRefused) {
  const PrivateKey& key = TestKey(KeyType::kEcP256);
  const auto with = [&](std::vector<std::string> audience) {
    JwtSvidContent content = IssuedContent();
    content.audience = std::move(audience);
    return SignJwtSvid(content, key, "key-1");
  };
  EXPECT_THAT(with({}), FailsWith(Code::kInvalidArgument, HasSubstr("audience")));
  EXPECT_THAT(with({"db", ""}), FailsWith(Code::kInvalidArgument, HasSubstr("audience")));
  EXPECT_THAT(with({"\xff"}), FailsWith(Code::kInvalidArgument, HasSubstr("claims")));
  EXPECT_THAT(with({std::string(50 << 10, 'a')}),
              FailsWith(Code::kInvalidArgument, HasSubstr("64 KiB")));
  EXPECT_THAT(with({std::string(70 << 10, 'a')}), FailsWithCode(Code::kInvalidArgument));
  EXPECT_THAT(SignJwtSvid(IssuedContent(), key, ""),
              FailsWith(Code::kInvalidArgument, HasSubstr("no ID")));
  EXPECT_THAT(SignJwtSvid(IssuedContent(), TestKeyP521(), "key-1"),
              FailsWith(Code::kInvalidArgument, HasSubstr("P-384")));
  EXPECT_THAT(SignJwtSvid(IssuedContent(), MakeTestRsaKey(1024), "key-1"),
              FailsWith(Code::kInvalidArgument, HasSubstr("2048")));
}

}  // namespace
}  // namespace credence
