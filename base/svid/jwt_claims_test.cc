#include <memory>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "base/svid/jwt_svid.h"
#include "base/svid/testing/test_authority.h"

namespace credence {
namespace {

using testing::HasSubstr;

std::string Sign(std::string_view claims) {
  return SignTestJws(
      TestKey(KeyType::kEcP256), "ES256", R"({"alg":"ES256","kid":"k","typ":"JWT"})", claims);
}

Result<ValidatedJwt> Validate(std::string_view claims,
                              std::string_view audience = "db",
                              WallTime now = TestNow()) {
  const BundleSet bundles{{"example.org",
                           std::make_shared<const TrustBundle>(
                               TrustBundle{*TrustDomain::Parse("example.org"),
                                           {},
                                           {{"k", TestKey(KeyType::kEcP256).PublicKey()}},
                                           1})}};
  return ValidateJwtSvid(Sign(claims), audience, bundles, now);
}

struct ClaimsCase {
  std::string name;
  std::string claims;
  /// Part of the refusal; "" when the token is accepted.
  std::string refusal;
};

class JwtClaimsTest : public testing::TestWithParam<ClaimsCase> {};

TEST_P(JwtClaimsTest, AreHeldToTheRules) {
  const auto valid = Validate(GetParam().claims);
  if (GetParam().refusal.empty()) {
    EXPECT_THAT(valid, IsOk());
  } else {
    EXPECT_THAT(valid, FailsWith(Code::kInvalidArgument, HasSubstr(GetParam().refusal)));
  }
}

constexpr std::string_view kSub = R"("sub":"spiffe://example.org/web")";

ClaimsCase Dated(std::string name, std::string_view dates, std::string refusal) {
  return {std::move(name), fmt::format(R"({{{},"aud":"db",{}}})", kSub, dates), std::move(refusal)};
}

ClaimsCase ForAudience(std::string name, std::string_view audience, std::string refusal) {
  return {std::move(name),
          fmt::format(R"({{{}{},"exp":1795305900}})", kSub, audience),
          std::move(refusal)};
}

ClaimsCase WithSubject(std::string name, std::string_view subject, std::string refusal) {
  return {std::move(name),
          fmt::format(R"({{{}"aud":"db","exp":1795305900}})", subject),
          std::move(refusal)};
}

INSTANTIATE_TEST_SUITE_P(
    Dates,
    JwtClaimsTest,
    testing::Values(
        Dated("JWT_12_Whole", R"("exp":1795305900)", ""),
        Dated("JWT_12_Missing", R"("iat":1795305600)", "exp"),
        Dated("JWT_12_String", R"("exp":"1795305900")", "exp"),
        Dated("JWT_12_Null", R"("exp":null)", "exp"),
        Dated("JWT_12_Negative", R"("exp":-1)", "exp"),
        Dated("JWT_12_Infinite", R"("exp":1e400)", "JSON"),
        Dated("JWT_12_Beyond2To53", R"("exp":9007199254740993)", "exp"),
        Dated("JWT_12_Beyond64Bits", R"("exp":99999999999999999999)", "exp"),
        Dated("JWT_12_At2To53", R"("exp":9007199254740992)", ""),
        Dated("JWT_12_Twice", R"("exp":1795305900,"exp":1795309999)", "repeats"),
        Dated("JWT_14_Exponent", R"("exp":1.7953059e9)", ""),
        Dated("JWT_14_Fraction", R"("exp":1795305900.75)", ""),
        Dated("JWT_14_PastExponent", R"("exp":1.5e9)", "expired"),
        Dated("JWT_13_AtLeeway", R"("exp":1795305541)", ""),
        Dated("JWT_13_PastLeeway", R"("exp":1795305540)", "expired"),
        Dated("JWT_13_FractionPastLeeway", R"("exp":1795305539.999)", "expired"),
        Dated("JWT_15_NbfPast", R"("exp":1795305900,"nbf":1795305600)", ""),
        Dated("JWT_15_NbfAtLeeway", R"("exp":1795305900,"nbf":1795305660)", ""),
        Dated("JWT_15_NbfFuture", R"("exp":1795305900,"nbf":1795305661)", "not valid yet"),
        Dated("JWT_15_NbfFarFuture", R"("exp":1795305900,"nbf":9007199254740992)", "not valid yet"),
        Dated("JWT_15_NbfString", R"("exp":1795305900,"nbf":"0")", "nbf"),
        Dated("IatInTheFutureIsNoStartOfValidity", R"("exp":1795305900,"iat":1795305800)", ""),
        Dated("IatString", R"("exp":1795305900,"iat":"now")", "iat")),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Audience,
    JwtClaimsTest,
    testing::Values(ForAudience("JWT_14_String", R"(,"aud":"db")", ""),
                    ForAudience("JWT_14_Array", R"(,"aud":["db"])", ""),
                    ForAudience("JWT_11_SecondOfTwo", R"(,"aud":["cache","db"])", ""),
                    ForAudience("JWT_10_Missing", "", "aud"),
                    ForAudience("JWT_10_Empty", R"(,"aud":[])", "aud"),
                    ForAudience("JWT_10_Other", R"(,"aud":["cache"])", "audience"),
                    ForAudience("JWT_10_Longer", R"(,"aud":["db2"])", "audience"),
                    ForAudience("JWT_10_Prefix", R"(,"aud":["d"])", "audience"),
                    ForAudience("JWT_10_Case", R"(,"aud":["DB"])", "audience"),
                    ForAudience("JWT_10_Nul", R"(,"aud":["db\u0000"])", "audience"),
                    ForAudience("JWT_14_NotStrings", R"(,"aud":["db",1])", "other than strings"),
                    ForAudience("JWT_14_Number", R"(,"aud":1)", "aud"),
                    ForAudience("JWT_14_Object", R"(,"aud":{"db":1})", "aud")),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Subject,
    JwtClaimsTest,
    testing::Values(
        WithSubject("JWT_8_Id", R"("sub":"spiffe://example.org/a/b",)", ""),
        WithSubject("JWT_8_Missing", "", "sub"),
        WithSubject("JWT_8_Empty", R"("sub":"",)", "sub"),
        WithSubject("JWT_8_Number", R"("sub":1,)", "sub"),
        WithSubject("JWT_8_List", R"("sub":["spiffe://example.org/a"],)", "sub"),
        WithSubject("JWT_8_NoUri", R"("sub":"web",)", "spiffe://"),
        WithSubject("JWT_8_Http", R"("sub":"https://example.org/a",)", "spiffe://"),
        WithSubject("JWT_8_UpperCase", R"("sub":"spiffe://Example.org/a",)", "lower case"),
        WithSubject("JWT_8_TrailingSlash", R"("sub":"spiffe://example.org/",)", "empty segment"),
        WithSubject("JWT_8_Dots", R"("sub":"spiffe://example.org/../a",)", "'..'"),
        WithSubject("JWT_8_Nul", R"("sub":"spiffe://example.org/a\u0000",)", "may hold only"),
        WithSubject("ID_22_Twice",
                    R"("sub":"spiffe://example.org/a","sub":"spiffe://example.org/b",)",
                    "repeats")),
    [](const auto& test) { return test.param.name; });

TEST(JwtClaimsCaseTest, ID_16_ASubjectOf2048BytesIsAccepted) {
  const std::string id = "spiffe://example.org/" + std::string(2048 - 21, 'a');
  EXPECT_THAT(Validate(fmt::format(R"({{"sub":"{}","aud":"db","exp":1795305900}})", id)), IsOk());
  EXPECT_THAT(Validate(fmt::format(R"({{"sub":"{}a","aud":"db","exp":1795305900}})", id)),
              FailsWith(Code::kInvalidArgument, HasSubstr("2048")));
}

TEST(JwtClaimsCaseTest, JWT_13_ALifetimeForEverDoesNotOverflow) {
  EXPECT_THAT(Validate(R"({"sub":"spiffe://example.org/a","aud":"db","exp":253402300799})"),
              IsOk());
}

TEST(JwtClaimsCaseTest, JWT_17_OtherClaimsSurvive) {
  const auto valid = Validate(
      R"({"sub":"spiffe://example.org/a","aud":"db","exp":1795305900,"n":{"a":[1,2.5,null,true]},"u":"Grüße 🎈","big":9007199254740993})");
  ASSERT_THAT(valid, IsOk());
  EXPECT_EQ(
      boost::json::serialize(valid->claims),
      R"({"sub":"spiffe://example.org/a","aud":["db"],"exp":1795305900,"n":{"a":[1,2.5E0,null,true]},"u":"Grüße 🎈","big":9007199254740993})");
}

TEST(JwtClaimsCaseTest, WA_42_AnEmptyAudienceMatchesNothing) {
  EXPECT_THAT(Validate(R"({"sub":"spiffe://example.org/a","aud":"","exp":1795305900})", ""),
              FailsWith(Code::kInvalidArgument, HasSubstr("audience")));
}

TEST(JwtClaimsCaseTest, DeeplyNestedClaimsAreRefused) {
  const std::string deep = std::string(40, '[') + std::string(40, ']');
  EXPECT_THAT(
      Validate(fmt::format(
          R"({{"sub":"spiffe://example.org/a","aud":"db","exp":1795305900,"d":{}}})", deep)),
      FailsWith(Code::kInvalidArgument, HasSubstr("JSON")));
}

TEST(JwtClaimsCaseTest, AnIssuedTokenIsReadInFull) {
  const std::string token = Sign(
      R"({"sub":"spiffe://example.org/a","aud":["x","y"],"exp":1795305900.5,"iat":1795305600,"iss":"https://o","jti":"7"})");
  const auto svid = ParseTrustedJwtSvid(token);
  ASSERT_THAT(svid, IsOk());
  EXPECT_EQ(svid->id.text(), "spiffe://example.org/a");
  EXPECT_THAT(svid->audience, testing::ElementsAre("x", "y"));
  EXPECT_EQ(svid->issued_at, TestNow());
  EXPECT_EQ(svid->expires_at, TestNow() + std::chrono::milliseconds(300'500));
  EXPECT_EQ(svid->key_id, "k");
  EXPECT_EQ(svid->algorithm, "ES256");
  EXPECT_EQ(svid->issuer, "https://o");
  EXPECT_EQ(svid->jti, "7");
  EXPECT_EQ(svid->token->Reveal(), token);
}

TEST(JwtClaimsCaseTest, AnIssuedTokenNeedsNoOptionalClaim) {
  const auto svid =
      ParseTrustedJwtSvid(Sign(R"({"sub":"spiffe://example.org/a","aud":"x","exp":1795305900})"));
  ASSERT_THAT(svid, IsOk());
  EXPECT_EQ(svid->issuer, "");
  EXPECT_EQ(svid->jti, "");
  EXPECT_EQ(svid->issued_at, WallTime{});
}

TEST(JwtClaimsCaseTest, JWT_9_AnIssuedTokenNeedsItsMandatoryClaims) {
  EXPECT_THAT(ParseTrustedJwtSvid(Sign(R"({"sub":"spiffe://example.org/a","exp":1795305900})")),
              FailsWith(Code::kInvalidArgument, HasSubstr("aud")));
  EXPECT_THAT(ParseTrustedJwtSvid(Sign(R"({"sub":"spiffe://example.org/a","aud":"x"})")),
              FailsWith(Code::kInvalidArgument, HasSubstr("exp")));
  EXPECT_THAT(
      ParseTrustedJwtSvid(Sign(R"({"sub":"spiffe://example.org/a","aud":"x","exp":1,"jti":5})")),
      FailsWith(Code::kInvalidArgument, HasSubstr("jti")));
}

}  // namespace
}  // namespace credence
