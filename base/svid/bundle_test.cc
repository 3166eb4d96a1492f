#include "base/svid/bundle.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "base/crypto/certificate.h"
#include "base/crypto/digest.h"
#include "base/svid/testing/test_authority.h"

namespace credence {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TrustDomain Domain() {
  return *TrustDomain::Parse("example.org");
}

const std::string& Ca() {
  static const std::string ca = TestAuthority::Root().certificate();
  return ca;
}

const std::string& OtherCa() {
  static const std::string ca = TestAuthority::Root(CertificateSpec::Ca("other")).certificate();
  return ca;
}

/// A sound entry of a CA certificate.
std::string X509Entry(const std::string& der) {
  return fmt::format(R"({{"use":"x509-svid","kty":"EC","crv":"P-256","x5c":["{}"]}})",
                     Base64Encode(der));
}

/// A sound entry of a token key: RFC 7515 appendix A.3's public key.
constexpr std::string_view kPoint =
    R"("kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")";

std::string JwtEntry(std::string_view key_id) {
  return fmt::format(R"({{"use":"jwt-svid","kid":"{}",{}}})", key_id, kPoint);
}

std::string Document(std::string_view keys) {
  return fmt::format(R"({{"keys":[{}]}})", keys);
}

TEST(ParseSpiffeBundleTest, ReadsBothKindsOfAuthority) {
  const auto bundle = ParseSpiffeBundle(
      Domain(),
      fmt::format(R"({{"spiffe_sequence":7,"spiffe_refresh_hint":60,"keys":[{},{}]}})",
                  X509Entry(Ca()),
                  JwtEntry("a")));
  ASSERT_THAT(bundle, IsOk());
  EXPECT_EQ(bundle->trust_domain.name(), "example.org");
  EXPECT_THAT(bundle->x509_authorities, ElementsAre(Ca()));
  ASSERT_EQ(bundle->jwt_authorities.size(), 1U);
  EXPECT_EQ(bundle->jwt_authorities[0].key_id, "a");
  EXPECT_EQ(bundle->sequence, 7U);
}

TEST(ParseSpiffeBundleTest, TDB_1_UnknownMembersAreIgnoredAndNoneIsNeeded) {
  EXPECT_THAT(ParseSpiffeBundle(Domain(), R"({"keys":[]})"), IsOk());
  const auto bundle = ParseSpiffeBundle(
      Domain(), fmt::format(R"({{"new":{{"a":1}},"keys":[{}]}})", X509Entry(Ca())));
  ASSERT_THAT(bundle, IsOk());
  EXPECT_THAT(bundle->x509_authorities, ElementsAre(Ca()));
}

TEST(ParseSpiffeBundleTest, TDB_6_NoKeysIsABundleThatTrustsNothing) {
  const auto bundle = ParseSpiffeBundle(Domain(), R"({"keys":[]})");
  ASSERT_THAT(bundle, IsOk());
  EXPECT_THAT(bundle->x509_authorities, IsEmpty());
  EXPECT_THAT(bundle->jwt_authorities, IsEmpty());
}

struct SequenceCase {
  std::string name;
  std::string text;
  /// nullopt when the document is refused.
  std::optional<std::uint64_t> value;
};

class SequenceTest : public testing::TestWithParam<SequenceCase> {};

TEST_P(SequenceTest, TDB_3_IsAnExact64BitNumber) {
  const auto bundle = ParseSpiffeBundle(
      Domain(), fmt::format(R"({{"keys":[],"spiffe_sequence":{}}})", GetParam().text));
  if (GetParam().value.has_value()) {
    ASSERT_THAT(bundle, IsOk());
    EXPECT_EQ(bundle->sequence, *GetParam().value);
  } else {
    EXPECT_THAT(bundle, FailsWith(Code::kInvalidArgument, HasSubstr("spiffe_sequence")));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    SequenceTest,
    testing::Values(SequenceCase{"Zero", "0", 0},
                    SequenceCase{"Beyond2To53", "9007199254740993", 9007199254740993},
                    SequenceCase{"Max63", "9223372036854775807", 9223372036854775807},
                    SequenceCase{"Max64", "18446744073709551615", 18446744073709551615U},
                    SequenceCase{"Over64", "18446744073709551616", std::nullopt},
                    SequenceCase{"Negative", "-1", std::nullopt},
                    SequenceCase{"String", "\"1\"", std::nullopt},
                    SequenceCase{"Float", "1.5", std::nullopt},
                    SequenceCase{"Exponent", "1e3", std::nullopt},
                    SequenceCase{"Null", "null", std::nullopt}),
    [](const auto& test) { return test.param.name; });

TEST(ParseSpiffeBundleTest, TDB_5_AnOddRefreshHintDoesNoHarm) {
  for (const char* hint : {"0", "-5", "1e300", "99999999999999999999", "\"60\"", "null"}) {
    EXPECT_THAT(
        ParseSpiffeBundle(Domain(), fmt::format(R"({{"keys":[],"spiffe_refresh_hint":{}}})", hint)),
        IsOk())
        << hint;
  }
}

struct DocumentCase {
  std::string name;
  std::string document;
  std::string refusal;
};

class RefusedBundleTest : public testing::TestWithParam<DocumentCase> {};

TEST_P(RefusedBundleTest, IsRefusedAsAWhole) {
  EXPECT_THAT(ParseSpiffeBundle(Domain(), GetParam().document),
              FailsWith(Code::kInvalidArgument, HasSubstr(GetParam().refusal)));
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    RefusedBundleTest,
    testing::Values(
        DocumentCase{"TDB_7_NoKeys", R"({"spiffe_sequence":1})", "keys"},
        DocumentCase{"TDB_7_KeysObject", R"({"keys":{}})", "keys"},
        DocumentCase{"TDB_7_KeysNull", R"({"keys":null})", "keys"},
        DocumentCase{"TDB_7_NoObject", "[]", "object"},
        DocumentCase{"TDB_7_KeyIsNoObject", R"({"keys":["a"]})", "not an object"},
        DocumentCase{"TDB_14_KeysTwice", R"({"keys":[],"keys":[]})", "repeats"},
        DocumentCase{
            "TDB_14_UseTwice", Document(R"({"use":"sig","use":"jwt-svid","kty":"EC"})"), "repeats"},
        DocumentCase{
            "X5cNotAList", Document(R"({"use":"x509-svid","kty":"EC","x5c":"AA=="})"), "x5c"},
        DocumentCase{"X5cNotText", Document(R"({"use":"x509-svid","kty":"EC","x5c":[1]})"), "x5c"},
        DocumentCase{
            "X5cNotBase64", Document(R"({"use":"x509-svid","kty":"EC","x5c":["_-_"]})"), "base64"},
        DocumentCase{"X5cNoCertificate",
                     Document(R"({"use":"x509-svid","kty":"EC","x5c":["AAAA"]})"),
                     "certificate"},
        DocumentCase{"NoCurve",
                     Document(R"({"use":"jwt-svid","kid":"a","kty":"EC","x":"AA","y":"AA"})"),
                     "crv"},
        DocumentCase{"NoX",
                     Document(R"({"use":"jwt-svid","kid":"a","kty":"EC","crv":"P-256","y":"AA"})"),
                     "member x"},
        DocumentCase{
            "ShortX",
            Document(R"({"use":"jwt-svid","kid":"a","kty":"EC","crv":"P-256","x":"AA","y":"AA"})"),
            "length"},
        DocumentCase{
            "PointOffTheCurve",
            Document(fmt::format(
                R"({{"use":"jwt-svid","kid":"a","kty":"EC","crv":"P-256","x":"{0}","y":"{0}"}})",
                Base64UrlEncode(std::string(32, '\x01')))),
            "no public key"},
        DocumentCase{"NoModulus",
                     Document(R"({"use":"jwt-svid","kid":"a","kty":"RSA","e":"AQAB"})"),
                     "member n"},
        DocumentCase{
            "LongExponent",
            Document(
                R"({"use":"jwt-svid","kid":"a","kty":"RSA","n":"AQAB","e":"AQABAQABAQABAQAB"})"),
            "too long"}),
    [](const auto& test) { return test.param.name; });

struct SkipCase {
  std::string name;
  std::string entry;
};

class SkippedKeyTest : public testing::TestWithParam<SkipCase> {};

TEST_P(SkippedKeyTest, IsPassedOverAndTheRestIsUsed) {
  const auto bundle = ParseSpiffeBundle(
      Domain(),
      Document(fmt::format("{},{},{}", X509Entry(Ca()), GetParam().entry, JwtEntry("good"))));
  ASSERT_THAT(bundle, IsOk());
  EXPECT_THAT(bundle->x509_authorities, ElementsAre(Ca()));
  ASSERT_EQ(bundle->jwt_authorities.size(), 1U);
  EXPECT_EQ(bundle->jwt_authorities[0].key_id, "good");
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    SkippedKeyTest,
    testing::Values(
        SkipCase{"TDB_8_UnknownType", R"({"use":"jwt-svid","kid":"a","kty":"OKP2","x":"AA"})"},
        SkipCase{"TDB_8_UnknownTypeX509", R"({"use":"x509-svid","kty":"new","x5c":["AAAA"]})"},
        SkipCase{"TDB_8_Symmetric", R"({"use":"jwt-svid","kid":"a","kty":"oct","k":"AA"})"},
        SkipCase{"TDB_8_OkpTokenKey",
                 R"({"use":"jwt-svid","kid":"a","kty":"OKP","crv":"Ed25519","x":"AA"})"},
        SkipCase{"TDB_8_UnknownCurve",
                 R"({"use":"jwt-svid","kid":"a","kty":"EC","crv":"secp256k1","x":"AA","y":"AA"})"},
        SkipCase{"TDB_9_NoType", R"({"use":"jwt-svid","kid":"a","x":"AA"})"},
        SkipCase{"TDB_9_TypeIsNoText", R"({"use":"jwt-svid","kid":"a","kty":1})"},
        SkipCase{"TDB_10_NoUse", fmt::format(R"({{"kid":"a",{}}})", kPoint)},
        SkipCase{"TDB_10_Sig", fmt::format(R"({{"use":"sig","kid":"a",{}}})", kPoint)},
        SkipCase{"TDB_10_UpperCase", fmt::format(R"({{"use":"JWT-SVID","kid":"a",{}}})", kPoint)},
        SkipCase{"JWT_24_WitKey", fmt::format(R"({{"use":"wit-svid","kid":"a",{}}})", kPoint)},
        SkipCase{"JWT_23_NoKid", fmt::format(R"({{"use":"jwt-svid",{}}})", kPoint)},
        SkipCase{"JWT_23_EmptyKid", fmt::format(R"({{"use":"jwt-svid","kid":"",{}}})", kPoint)},
        SkipCase{"X509_28_NoX5c", fmt::format(R"({{"use":"x509-svid",{}}})", kPoint)},
        SkipCase{"X509_28_EmptyX5c", fmt::format(R"({{"use":"x509-svid","x5c":[],{}}})", kPoint)}),
    [](const auto& test) { return test.param.name; });

TEST(ParseSpiffeBundleTest, X509_29_OnlyTheFirstCertificateOfX5cCounts) {
  const auto bundle = ParseSpiffeBundle(
      Domain(),
      Document(fmt::format(R"({{"use":"x509-svid","kty":"EC","x5c":["{}","{}"]}})",
                           Base64Encode(Ca()),
                           Base64Encode(OtherCa()))));
  ASSERT_THAT(bundle, IsOk());
  EXPECT_THAT(bundle->x509_authorities, ElementsAre(Ca()));
}

TEST(ParseSpiffeBundleTest, X509_30_TheSetIsTheUnionWithoutRepeats) {
  const auto bundle = ParseSpiffeBundle(
      Domain(),
      Document(fmt::format("{},{},{}", X509Entry(Ca()), X509Entry(OtherCa()), X509Entry(Ca()))));
  ASSERT_THAT(bundle, IsOk());
  EXPECT_THAT(bundle->x509_authorities, ElementsAre(Ca(), OtherCa()));
}

TEST(ParseSpiffeBundleTest, WA_30_45_AKeyCountsForItsOwnUseOnly) {
  const auto tokens = ParseSpiffeBundle(
      Domain(),
      Document(fmt::format(
          R"({{"use":"jwt-svid","kid":"a","x5c":["{}"],{}}})", Base64Encode(Ca()), kPoint)));
  ASSERT_THAT(tokens, IsOk());
  EXPECT_THAT(tokens->x509_authorities, IsEmpty());
  EXPECT_THAT(tokens->jwt_authorities, SizeIs(1));
  const auto certificates = ParseSpiffeBundle(
      Domain(),
      Document(fmt::format(
          R"({{"use":"x509-svid","kid":"a","x5c":["{}"],{}}})", Base64Encode(Ca()), kPoint)));
  ASSERT_THAT(certificates, IsOk());
  EXPECT_THAT(certificates->x509_authorities, SizeIs(1));
  EXPECT_THAT(certificates->jwt_authorities, IsEmpty());
}

TEST(ParsePemBundleTest, ReadsEachCertificate) {
  const auto bundle = ParsePemBundle(
      Domain(), "# roots\n" + CertificatesToPem({Ca(), OtherCa(), Ca()}) + "trailing words\n");
  ASSERT_THAT(bundle, IsOk());
  EXPECT_THAT(bundle->x509_authorities, ElementsAre(Ca(), OtherCa()));
}

TEST(ParsePemBundleTest, RefusesOtherBlocksAndEmptiness) {
  const std::string key(TestKey(KeyType::kEcP256).ToPkcs8Pem().Reveal());
  EXPECT_THAT(ParsePemBundle(Domain(), CertificateToPem(Ca()) + key),
              FailsWith(Code::kInvalidArgument, HasSubstr("not a CERTIFICATE")));
  EXPECT_THAT(ParsePemBundle(Domain(), ""),
              FailsWith(Code::kInvalidArgument, HasSubstr("no CERT")));
}

TEST(JwksTest, WA_37_EachKindOfKeyIsEncodedAsRfc7518Says) {
  const TrustBundle bundle{Domain(),
                           {Ca()},
                           {{"e1", TestKey(KeyType::kEcP256).PublicKey()},
                            {"e2", TestKey(KeyType::kEcP384).PublicKey()},
                            {"e3", TestKeyP521().PublicKey()},
                            {"r", TestKey(KeyType::kRsa2048).PublicKey()}},
                           1};
  const std::string jwks = JwtAuthoritiesAsJwks(bundle);
  EXPECT_THAT(jwks, testing::StartsWith(R"({"keys":[{"kid":"e1","kty":"EC","crv":"P-256","x":")"));
  EXPECT_THAT(jwks, HasSubstr(R"({"kid":"e2","kty":"EC","crv":"P-384","x":")"));
  EXPECT_THAT(jwks, HasSubstr(R"({"kid":"e3","kty":"EC","crv":"P-521","x":")"));
  EXPECT_THAT(jwks, HasSubstr(R"({"kid":"r","kty":"RSA","n":")"));
  EXPECT_THAT(jwks, HasSubstr(R"("e":"AQAB"})"));
  EXPECT_THAT(jwks, testing::Not(HasSubstr("use")));
  EXPECT_THAT(jwks, testing::Not(HasSubstr("spiffe_")));
}

TEST(JwksTest, TDB_11_AKeyHasNoMembersBeyondThoseOfItsKind) {
  const TrustBundle bundle{
      Domain(),
      {Ca()},
      {{"e", TestKey(KeyType::kEcP256).PublicKey()}, {"r", TestKey(KeyType::kRsa2048).PublicKey()}},
      1};
  const boost::json::value jwks = boost::json::parse(JwtAuthoritiesAsJwks(bundle));
  ASSERT_EQ(jwks.as_object().size(), 1U);
  const auto members = [&](std::size_t key) {
    std::vector<std::string> names;
    for (const auto& member : jwks.as_object().at("keys").as_array().at(key).as_object()) {
      names.emplace_back(member.key());
    }
    return names;
  };
  EXPECT_THAT(members(0), ElementsAre("kid", "kty", "crv", "x", "y"));
  EXPECT_THAT(members(1), ElementsAre("kid", "kty", "n", "e"));
}

TEST(JwksTest, WhatIsWrittenIsReadBack) {
  const std::vector<JwtAuthority> keys = {{"e1", TestKey(KeyType::kEcP256).PublicKey()},
                                          {"e2", TestKey(KeyType::kEcP384).PublicKey()},
                                          {"e3", TestKeyP521().PublicKey()},
                                          {"r\"\\", TestKey(KeyType::kRsa2048).PublicKey()}};
  std::string jwks = JwtAuthoritiesAsJwks(TrustBundle{Domain(), {}, keys, 1});
  for (std::size_t at = jwks.find("{\"kid\""); at != std::string::npos;
       at = jwks.find("{\"kid\"", at + 2)) {
    jwks.insert(at + 1, R"("use":"jwt-svid",)");
  }
  const auto bundle = ParseSpiffeBundle(Domain(), jwks);
  ASSERT_THAT(bundle, IsOk());
  EXPECT_EQ(bundle->jwt_authorities, keys);
}

TEST(JwksTest, ACoordinateWithLeadingZerosKeepsItsLength) {
  // A P-256 key whose x starts with a zero byte, found by trying: about one in 256.
  for (int i = 0; i < 5000; ++i) {
    const std::string der = PrivateKey::Generate(KeyType::kEcP256)->PublicKey();
    if (der[der.size() - 64] == '\0') {
      const std::string jwks = JwtAuthoritiesAsJwks(TrustBundle{Domain(), {}, {{"k", der}}, 1});
      const std::size_t at = jwks.find("\"x\":\"") + 5;
      EXPECT_EQ(jwks.find('"', at) - at, 43U);
      return;
    }
  }
  FAIL() << "no such key among 5000";
}

TEST(JwksTest, JWT_23_KeysWithoutKidOrOfOtherTypesAreLeftOut) {
  EXPECT_EQ(JwtAuthoritiesAsJwks(TrustBundle{
                Domain(), {}, {{"", TestKey(KeyType::kEcP256).PublicKey()}, {"x", "junk"}}, 1}),
            R"({"keys":[]})");
}

TEST(ConcatenatedX509AuthoritiesTest, PutsDerSideBySide) {
  const TrustBundle bundle{Domain(), {Ca(), OtherCa()}, {}, 1};
  EXPECT_EQ(ConcatenatedX509Authorities(bundle), Ca() + OtherCa());
  EXPECT_THAT(SplitCertificates(ConcatenatedX509Authorities(bundle)),
              IsOkAndHolds(ElementsAre(Ca(), OtherCa())));
}

}  // namespace
}  // namespace credence
