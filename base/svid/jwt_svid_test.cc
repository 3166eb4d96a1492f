#include "base/svid/jwt_svid.h"

#include <memory>

#include <boost/json/array.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "base/crypto/digest.h"
#include "base/svid/testing/test_authority.h"

namespace credence {
namespace {

using testing::HasSubstr;

constexpr std::string_view kClaims =
    R"({"sub":"spiffe://example.org/web","aud":["db"],"exp":1795305900,"iat":1795305600})";

std::string Header(std::string_view algorithm, std::string_view key_id) {
  return fmt::format(R"({{"alg":"{}","kid":"{}","typ":"JWT"}})", algorithm, key_id);
}

TrustDomain Domain(std::string_view name) {
  return *TrustDomain::Parse(name);
}

/// One trust domain with a key for each kind of algorithm, and a second domain.
class JwtSvidTest : public testing::Test {
 protected:
  JwtSvidTest() {
    TrustBundle bundle{Domain("example.org"), {}, {}, 1};
    bundle.jwt_authorities = {{"p256", TestKey(KeyType::kEcP256).PublicKey()},
                              {"p384", TestKey(KeyType::kEcP384).PublicKey()},
                              {"p521", TestKeyP521().PublicKey()},
                              {"rsa", TestKey(KeyType::kRsa2048).PublicKey()}};
    Set(std::move(bundle));
  }

  void Set(TrustBundle bundle) {
    const std::string name = bundle.trust_domain.name();
    bundles_[name] = std::make_shared<const TrustBundle>(std::move(bundle));
  }

  Result<ValidatedJwt> Validate(std::string_view token, std::string_view audience = "db") const {
    return ValidateJwtSvid(token, audience, bundles_, TestNow());
  }

  static std::string SignP256(std::string_view header, std::string_view claims = kClaims) {
    return SignTestJws(TestKey(KeyType::kEcP256), "ES256", header, claims);
  }

  BundleSet bundles_;
};

struct AlgorithmCase {
  std::string algorithm;
  std::string key_id;
};

class JwtAlgorithmTest : public JwtSvidTest, public testing::WithParamInterface<AlgorithmCase> {
 protected:
  static const PrivateKey& Key(std::string_view key_id) {
    if (key_id == "p521") {
      return TestKeyP521();
    }
    return TestKey(key_id == "rsa"    ? KeyType::kRsa2048
                   : key_id == "p384" ? KeyType::kEcP384
                                      : KeyType::kEcP256);
  }
};

TEST_P(JwtAlgorithmTest, JWT_4_EachOfTheNineAlgorithmsVerifies) {
  const AlgorithmCase& c = GetParam();
  const std::string token =
      SignTestJws(Key(c.key_id), c.algorithm, Header(c.algorithm, c.key_id), kClaims);
  const auto valid = Validate(token);
  ASSERT_THAT(valid, IsOk());
  EXPECT_EQ(valid->id.text(), "spiffe://example.org/web");
}

TEST_P(JwtAlgorithmTest, JWT_15_AFlippedBitAnywhereIsRefused) {
  const AlgorithmCase& c = GetParam();
  const std::string token =
      SignTestJws(Key(c.key_id), c.algorithm, Header(c.algorithm, c.key_id), kClaims);
  const std::size_t dot = token.rfind('.');
  auto signature = *Base64UrlDecode(std::string_view(token).substr(dot + 1));
  signature[signature.size() / 2] = static_cast<char>(signature[signature.size() / 2] ^ 1);
  EXPECT_THAT(Validate(token.substr(0, dot + 1) + Base64UrlEncode(signature)),
              FailsWith(Code::kInvalidArgument, HasSubstr("signature")));
}

INSTANTIATE_TEST_SUITE_P(Nine,
                         JwtAlgorithmTest,
                         testing::Values(AlgorithmCase{"RS256", "rsa"},
                                         AlgorithmCase{"RS384", "rsa"},
                                         AlgorithmCase{"RS512", "rsa"},
                                         AlgorithmCase{"ES256", "p256"},
                                         AlgorithmCase{"ES384", "p384"},
                                         AlgorithmCase{"ES512", "p521"},
                                         AlgorithmCase{"PS256", "rsa"},
                                         AlgorithmCase{"PS384", "rsa"},
                                         AlgorithmCase{"PS512", "rsa"}),
                         [](const auto& test) { return test.param.algorithm; });

struct HeaderCase {
  std::string name;
  std::string header;
  /// Part of the refusal; "" when the token is accepted.
  std::string refusal;
};

class JwtHeaderTest : public JwtSvidTest, public testing::WithParamInterface<HeaderCase> {};

TEST_P(JwtHeaderTest, IsHeldToTheRules) {
  const std::string token = SignP256(GetParam().header);
  if (GetParam().refusal.empty()) {
    EXPECT_THAT(Validate(token), IsOk());
    EXPECT_THAT(ParseTrustedJwtSvid(token), IsOk());
  } else {
    EXPECT_THAT(Validate(token), FailsWith(Code::kInvalidArgument, HasSubstr(GetParam().refusal)));
    EXPECT_THAT(ParseTrustedJwtSvid(token),
                FailsWith(Code::kInvalidArgument, HasSubstr(GetParam().refusal)));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    JwtHeaderTest,
    testing::Values(
        HeaderCase{"JWT_3_ThreeMembers", R"({"alg":"ES256","kid":"p256","typ":"JWT"})", ""},
        HeaderCase{
            "JWT_3_ExtraMember", R"({"alg":"ES256","kid":"p256","x5u":"https://a"})", "other than"},
        HeaderCase{"JWT_3_EmbeddedKey", R"({"alg":"ES256","jwk":{"kty":"EC"}})", "other than"},
        HeaderCase{"JWT_5_None", R"({"alg":"none"})", "alg"},
        HeaderCase{"JWT_5_NoneInTitleCase", R"({"alg":"None"})", "alg"},
        HeaderCase{"JWT_5_Hs256", R"({"alg":"HS256","kid":"p256"})", "alg"},
        HeaderCase{"JWT_5_Hs384", R"({"alg":"HS384","kid":"p256"})", "alg"},
        HeaderCase{"JWT_5_Hs512", R"({"alg":"HS512","kid":"p256"})", "alg"},
        HeaderCase{"JWT_5_EdDsa", R"({"alg":"EdDSA","kid":"p256"})", "alg"},
        HeaderCase{"JWT_5_Es256k", R"({"alg":"ES256K","kid":"p256"})", "alg"},
        HeaderCase{"JWT_5_LowerCase", R"({"alg":"es256","kid":"p256"})", "alg"},
        HeaderCase{"JWT_5_Missing", R"({"kid":"p256"})", "alg"},
        HeaderCase{"JWT_5_NotAString", R"({"alg":["ES256"],"kid":"p256"})", "alg"},
        HeaderCase{"JWT_5_BeforeTyp", R"({"alg":"none","typ":"wit+jwt"})", "alg"},
        HeaderCase{"JWT_6_NoKid", R"({"alg":"ES256"})", ""},
        HeaderCase{"JWT_6_EmptyKid", R"({"alg":"ES256","kid":""})", "kid"},
        HeaderCase{"JWT_6_NumberKid", R"({"alg":"ES256","kid":1})", "kid"},
        HeaderCase{"JWT_7_NoTyp", R"({"alg":"ES256","kid":"p256"})", ""},
        HeaderCase{"JWT_7_Jose", R"({"alg":"ES256","kid":"p256","typ":"JOSE"})", ""},
        HeaderCase{"JWT_7_LowerCase", R"({"alg":"ES256","kid":"p256","typ":"jwt"})", "typ"},
        HeaderCase{"JWT_7_AccessToken", R"({"alg":"ES256","kid":"p256","typ":"at+jwt"})", "typ"},
        HeaderCase{"JWT_7_Null", R"({"alg":"ES256","kid":"p256","typ":null})", "typ"},
        HeaderCase{
            "WIT_16_WitIsNoBearerToken", R"({"alg":"ES256","kid":"p256","typ":"wit+jwt"})", "typ"},
        HeaderCase{"JWT_15_Crit", R"({"alg":"ES256","kid":"p256","crit":["exp"]})", "critical"},
        HeaderCase{
            "JWT_15_RepeatedAlg", R"({"alg":"ES256","alg":"ES256","kid":"p256"})", "repeats"},
        HeaderCase{"JWT_15_RepeatedAlgEscaped",
                   R"({"alg":"ES256","\u0061lg":"none","kid":"p256"})",
                   "repeats"},
        HeaderCase{"JWT_15_RepeatedKid", R"({"alg":"ES256","kid":"a","kid":"p256"})", "repeats"},
        HeaderCase{"JWT_1_NoJson", "alg=ES256", "not valid JSON"},
        HeaderCase{"JWT_1_NoObject", R"(["ES256"])", "not a JSON object"}),
    [](const auto& test) { return test.param.name; });

TEST_F(JwtSvidTest, JWT_1_OnlyThreePartsAreAToken) {
  const std::string token = SignP256(Header("ES256", "p256"));
  ASSERT_THAT(Validate(token), IsOk());
  for (const std::string& bad : {std::string(),
                                 std::string("."),
                                 std::string(".."),
                                 token.substr(0, token.rfind('.')),
                                 token + ".",
                                 token + ".AA",
                                 token + "\n",
                                 " " + token,
                                 token + "=",
                                 fmt::format(R"({{"payload":"{}"}})", token)}) {
    EXPECT_THAT(Validate(bad), FailsWithCode(Code::kInvalidArgument)) << bad;
  }
}

TEST_F(JwtSvidTest, JWT_2_AnEncryptedTokenIsRefused) {
  EXPECT_THAT(Validate("eyJhbGciOiJSU0EtT0FFUCJ9.AA.AA.AA.AA"),
              FailsWith(Code::kInvalidArgument, HasSubstr("three parts")));
}

TEST_F(JwtSvidTest, JWT_5_TheAlgorithmIsJudgedBeforeTheRest) {
  const std::string header = Base64UrlEncode(R"({"alg":"none"})");
  EXPECT_THAT(Validate(header + ".!!!.???"), FailsWith(Code::kInvalidArgument, HasSubstr("alg")));
}

TEST_F(JwtSvidTest, ATokenThatIsTooLongIsRefused) {
  EXPECT_THAT(Validate(std::string(kMaxJwtBytes + 1, 'a')),
              FailsWith(Code::kInvalidArgument, HasSubstr("64 KiB")));
}

TEST_F(JwtSvidTest, JWT_15_ASwappedPayloadIsRefused) {
  const std::string one = SignP256(Header("ES256", "p256"));
  const std::string other = SignP256(
      Header("ES256", "p256"), R"({"sub":"spiffe://example.org/db","aud":"db","exp":1795305900})");
  const std::string mixed = other.substr(0, other.rfind('.')) + one.substr(one.rfind('.'));
  EXPECT_THAT(Validate(mixed), FailsWith(Code::kInvalidArgument, HasSubstr("signature")));
}

TEST_F(JwtSvidTest, JWT_16_KeyTypeAndCurveMustFitTheAlgorithm) {
  EXPECT_THAT(Validate(SignP256(Header("RS256", "p256"))),
              FailsWith(Code::kInvalidArgument, HasSubstr("fits its algorithm")));
  EXPECT_THAT(
      Validate(SignTestJws(TestKey(KeyType::kEcP256), "ES384", Header("ES384", "p256"), kClaims)),
      FailsWith(Code::kInvalidArgument, HasSubstr("fits its algorithm")));
  EXPECT_THAT(
      Validate(SignTestJws(TestKey(KeyType::kRsa2048), "PS256", Header("RS256", "rsa"), kClaims)),
      FailsWith(Code::kInvalidArgument, HasSubstr("signature")));
}

TEST_F(JwtSvidTest, JWT_16_AShortRsaKeyIsRefused) {
  const PrivateKey weak = MakeTestRsaKey(1024);
  Set(TrustBundle{Domain("example.org"), {}, {{"weak", weak.PublicKey()}}, 1});
  EXPECT_THAT(Validate(SignTestJws(weak, "RS256", Header("RS256", "weak"), kClaims)),
              FailsWith(Code::kInvalidArgument, HasSubstr("fits its algorithm")));
}

TEST_F(JwtSvidTest, EcdsaSignaturesInDerAreRefused) {
  const std::string token = SignP256(Header("ES256", "p256"));
  const std::size_t dot = token.rfind('.');
  EXPECT_THAT(Validate(token.substr(0, dot + 1) + Base64UrlEncode(std::string(63, 'a'))),
              FailsWith(Code::kInvalidArgument, HasSubstr("signature")));
  EXPECT_THAT(Validate(token.substr(0, dot + 1) + Base64UrlEncode(std::string(64, '\0'))),
              FailsWith(Code::kInvalidArgument, HasSubstr("signature")));
}

TEST_F(JwtSvidTest, JWT_6_AnUnknownKidIsRefusedEvenIfAKeyWouldFit) {
  EXPECT_THAT(Validate(SignP256(Header("ES256", "p257"))),
              FailsWith(Code::kInvalidArgument, HasSubstr("kid")));
  EXPECT_THAT(Validate(SignP256(Header("ES256", "P256"))),
              FailsWith(Code::kInvalidArgument, HasSubstr("kid")));
}

TEST_F(JwtSvidTest, JWT_6_WithoutKidAtMostEightKeysAreTried) {
  std::vector<JwtAuthority> keys;
  for (int i = 0; i < 8; ++i) {
    keys.push_back(
        {fmt::format("other{}", i), PrivateKey::Generate(KeyType::kEcP256)->PublicKey()});
  }
  keys.push_back({"rsa", TestKey(KeyType::kRsa2048).PublicKey()});
  const JwtAuthority right{"p256", TestKey(KeyType::kEcP256).PublicKey()};
  const std::string token = SignP256(R"({"alg":"ES256"})");

  keys.push_back(right);
  Set(TrustBundle{Domain("example.org"), {}, keys, 1});
  EXPECT_THAT(Validate(token), FailsWith(Code::kInvalidArgument, HasSubstr("first 8 keys")));

  keys.erase(keys.begin());
  Set(TrustBundle{Domain("example.org"), {}, keys, 1});
  EXPECT_THAT(Validate(token), IsOk());
}

TEST_F(JwtSvidTest, JWT_18_OneTokenValidatesTwice) {
  const std::string token =
      SignP256(Header("ES256", "p256"),
               R"({"sub":"spiffe://example.org/web","aud":"db","exp":1795305900,"jti":"once"})");
  EXPECT_THAT(Validate(token), IsOk());
  EXPECT_THAT(Validate(token), IsOk());
}

TEST_F(JwtSvidTest, ID_24_WA_44_OnlyTheSubjectsOwnTrustDomainVouches) {
  Set(TrustBundle{Domain("other.org"), {}, {{"p384", TestKey(KeyType::kEcP384).PublicKey()}}, 1});
  constexpr std::string_view kOther =
      R"({"sub":"spiffe://other.org/web","aud":"db","exp":1795305900})";
  EXPECT_THAT(
      Validate(SignTestJws(TestKey(KeyType::kEcP384), "ES384", Header("ES384", "p384"), kOther)),
      IsOk());
  EXPECT_THAT(Validate(SignP256(Header("ES256", "p256"), kOther)),
              FailsWith(Code::kInvalidArgument, HasSubstr("kid")));
  EXPECT_THAT(Validate(SignP256(R"({"alg":"ES256"})", kOther)),
              FailsWith(Code::kInvalidArgument, HasSubstr("fits its algorithm")));
}

TEST_F(JwtSvidTest, JWT_25_WithoutAuthoritiesNothingIsTrusted) {
  const std::string token = SignP256(Header("ES256", "p256"));
  Set(TrustBundle{Domain("example.org"), {}, {}, 1});
  EXPECT_THAT(Validate(token), FailsWith(Code::kInvalidArgument, HasSubstr("example.org")));
  bundles_.clear();
  EXPECT_THAT(Validate(token), FailsWith(Code::kInvalidArgument, HasSubstr("example.org")));
}

TEST_F(JwtSvidTest, TDB_12_ABundleUnderAnothersNameIsNotUsed) {
  const SharedBundle bundle = bundles_["example.org"];
  bundles_.clear();
  bundles_["other.org"] = bundle;
  EXPECT_THAT(Validate(SignP256(Header("ES256", "p256"),
                                R"({"sub":"spiffe://other.org/web","aud":"db","exp":1795305900})")),
              FailsWith(Code::kInvalidArgument, HasSubstr("no JWT authority")));
}

TEST_F(JwtSvidTest, ID_23_WhatIsNoSvidDocumentIsRefused) {
  const TestAuthority root = TestAuthority::Root();
  for (const std::string& other :
       {std::string("s3cr3t-bearer-token"),
        std::string("9f9f62c2-3c2d-4d4a-8d3a-1f8f3e4a5b6c"),
        std::string("<saml:Assertion/>"),
        root.certificate(),
        root.Issue(TestKey(KeyType::kEcP256), CertificateSpec::Leaf("spiffe://example.org/web"))}) {
    EXPECT_THAT(Validate(other), FailsWithCode(Code::kInvalidArgument));
  }
}

TEST_F(JwtSvidTest, WA_30_ACertificateAuthoritysKeySignsNoTokens) {
  const TestAuthority root = TestAuthority::Root();
  const auto sign = [&](std::string_view header) {
    return SignTestJws(root.key(), "ES256", header, kClaims);
  };
  Set(TrustBundle{Domain("example.org"),
                  {root.certificate()},
                  {{"p256", TestKey(KeyType::kEcP256).PublicKey()}},
                  1});
  EXPECT_THAT(Validate(SignP256(Header("ES256", "p256"))), IsOk());
  EXPECT_THAT(Validate(sign(Header("ES256", "p256"))),
              FailsWith(Code::kInvalidArgument, HasSubstr("signature")));
  EXPECT_THAT(Validate(sign(R"({"alg":"ES256"})")),
              FailsWith(Code::kInvalidArgument, HasSubstr("signature")));
}

TEST_F(JwtSvidTest, TDB_19_AKeyThatTwoTrustDomainsShareDoesNotMixThem) {
  const JwtAuthority shared{"shared", TestKey(KeyType::kEcP256).PublicKey()};
  Set(TrustBundle{Domain("example.org"), {}, {shared}, 1});
  Set(TrustBundle{Domain("other.org"), {}, {shared}, 1});
  constexpr std::string_view kOther =
      R"({"sub":"spiffe://other.org/web","aud":"db","exp":1795305900})";
  const auto own = Validate(SignP256(Header("ES256", "shared")));
  const auto other = Validate(SignP256(Header("ES256", "shared"), kOther));
  ASSERT_THAT(own, IsOk());
  ASSERT_THAT(other, IsOk());
  EXPECT_EQ(own->id.trust_domain(), Domain("example.org"));
  EXPECT_EQ(other->id.trust_domain(), Domain("other.org"));
  bundles_.erase("other.org");
  EXPECT_THAT(Validate(SignP256(Header("ES256", "shared"), kOther)),
              FailsWith(Code::kInvalidArgument, HasSubstr("other.org")));
}

TEST_F(JwtSvidTest, NoRefusalQuotesTheToken) {
  const std::string token =
      SignP256(R"({"alg":"ES256","kid":"secretkid"})",
               R"({"sub":"spiffe://example.org/web","aud":"secretaud","exp":1795305900})");
  const auto refused = Validate(token);
  ASSERT_THAT(refused, FailsWithCode(Code::kInvalidArgument));
  EXPECT_THAT(refused.error().message(), testing::Not(HasSubstr("secret")));
  EXPECT_THAT(refused.error().message(), testing::Not(HasSubstr(token.substr(0, 12))));
}

}  // namespace
}  // namespace credence
