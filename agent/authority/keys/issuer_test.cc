#include "agent/authority/keys/issuer.h"

#include <memory>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "agent/authority/keys/testing/key_folder.h"
#include "base/core/testing/result_matchers.h"
#include "base/crypto/certificate.h"
#include "base/crypto/digest.h"
#include "base/svid/jwt_svid.h"
#include "base/svid/x509_svid.h"

namespace credence {
namespace {

namespace json = boost::json;
namespace types = spire::api::types;
using authority::v1::SigningKeyRecord;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class IssuerTest : public KeyFolderTest {
 protected:
  IssuerTest() {
    options_.jwt_key_type = KeyType::kEcP384;
    auto created = CreateSigningKeys(options_, Start());
    CREDENCE_CHECK(created.ok());
    keys_ = created->keys;
  }

  X509SvidContent Leaf() const {
    return X509SvidContent{.id = *SpiffeId::Parse("spiffe://example.org/web"),
                           .public_key = leaf_key_.PublicKey(),
                           .dns_names = {},
                           .life = hours(1)};
  }

  static JwtSvidContent Token(WallTime issued_at, seconds life) {
    return JwtSvidContent{.subject = *SpiffeId::Parse("spiffe://example.org/web"),
                          .audience = {"db"},
                          .issued_at = issued_at,
                          .expires_at = issued_at + life,
                          .issuer = "",
                          .jti = ""};
  }

  types::Bundle Bundle() const { return BundleOf(options_.trust_domain, *keys_, 7, minutes(5)); }

  PrivateKey leaf_key_ = *PrivateKey::Generate(KeyType::kEcP256);
  SharedSigningKeys keys_;
};

TEST_F(IssuerTest, X509_21_AnSvidVerifiesAgainstTheBundle) {
  X509SvidContent content = Leaf();
  content.dns_names = {"web.example.org", "web"};
  const auto svid = SignX509Svid(*keys_, content, Start());
  ASSERT_THAT(svid, IsOk());
  ASSERT_EQ(svid->certificates.size(), 1U);
  const auto chain = ParseX509SvidChain(svid->certificates);
  ASSERT_THAT(chain, IsOk());
  EXPECT_EQ(chain->id.text(), "spiffe://example.org/web");
  EXPECT_EQ(chain->not_before, Start() - seconds(10));
  EXPECT_EQ(chain->not_after, Start() + hours(1));
  EXPECT_EQ(svid->not_after, chain->not_after);
  const auto facts = FactsOfCertificate(svid->certificates[0]);
  ASSERT_THAT(facts, IsOk());
  EXPECT_EQ(facts->serial, svid->serial);
  const auto bundle = TrustBundleOf(Bundle());
  ASSERT_THAT(bundle, IsOk());
  for (const seconds at : {seconds(-10), seconds(0), seconds(3599)}) {
    EXPECT_THAT(VerifyX509Svid(*chain, bundle->x509_authorities, Start() + at), IsOk())
        << at.count();
  }
  EXPECT_THAT(VerifyX509Svid(*chain, bundle->x509_authorities, Start() + seconds(3601)),
              FailsWithCode(Code::kUnauthenticated));
}

TEST_F(IssuerTest, AnSvidEndsWithItsCaAtTheLatest) {
  const WallTime late = Start() + hours(24) - minutes(10) + std::chrono::milliseconds(300);
  const auto cut = SignX509Svid(*keys_, Leaf(), late);
  ASSERT_THAT(cut, IsOk());
  EXPECT_EQ(cut->not_after, Start() + hours(24));
  X509SvidContent endless = Leaf();
  endless.life = seconds::max();
  const auto capped = SignX509Svid(*keys_, endless, Start());
  ASSERT_THAT(capped, IsOk());
  EXPECT_EQ(capped->not_after, Start() + hours(24));
  EXPECT_THAT(SignX509Svid(*keys_, Leaf(), Start() + hours(24)),
              FailsWith(Code::kUnavailable, HasSubstr("X509")));
}

TEST_F(IssuerTest, WhatCannotBeAnSvidIsRefused) {
  X509SvidContent content = Leaf();
  content.public_key = "x";
  EXPECT_THAT(SignX509Svid(*keys_, content, Start()), FailsWithCode(Code::kInvalidArgument));
  content = Leaf();
  content.life = seconds(0);
  EXPECT_THAT(SignX509Svid(*keys_, content, Start()),
              FailsWith(Code::kInvalidArgument, HasSubstr("life")));
  content = Leaf();
  content.id = *SpiffeId::Parse("spiffe://example.org");
  EXPECT_THAT(SignX509Svid(*keys_, content, Start()),
              FailsWith(Code::kInvalidArgument, HasSubstr("no path")));
}

TEST_F(IssuerTest, ADnsNameTooLongForACommonNameIsAnAlternativeNameOnly) {
  X509SvidContent content = Leaf();
  content.dns_names = {std::string(65, 'a')};
  const auto svid = SignX509Svid(*keys_, content, Start());
  ASSERT_THAT(svid, IsOk());
  EXPECT_EQ(
      X509_NAME_entry_count(X509_get_subject_name(ParseCertificate(svid->certificates[0])->get())),
      2);
  EXPECT_THAT(svid->certificates[0], HasSubstr(content.dns_names[0]));
}

TEST_F(IssuerTest, JWT_4_ATokenValidatesAgainstTheBundle) {
  const auto signed_token = SignJwtSvid(*keys_, Token(Start(), minutes(5)));
  ASSERT_THAT(signed_token, IsOk());
  EXPECT_EQ(signed_token->expires_at, Start() + minutes(5));
  auto bundle = TrustBundleOf(Bundle());
  ASSERT_THAT(bundle, IsOk());
  const BundleSet bundles = {
      {"example.org", std::make_shared<const TrustBundle>(*std::move(bundle))}};
  EXPECT_THAT(ValidateJwtSvid(signed_token->token.Reveal(), "db", bundles, Start()), IsOk());
  const auto parsed = ParseTrustedJwtSvid(signed_token->token.Reveal());
  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(parsed->key_id, keys_->Active(SigningKeyRecord::JWT).record.id());
  EXPECT_EQ(parsed->algorithm, "ES384");
}

TEST_F(IssuerTest, ATokenEndsWithItsKeyAtTheLatest) {
  const WallTime end = Start() + options_.jwt_life;
  const auto cut = SignJwtSvid(*keys_, Token(end - minutes(1), minutes(5)));
  ASSERT_THAT(cut, IsOk());
  EXPECT_EQ(cut->expires_at, end);
  const auto parsed = ParseTrustedJwtSvid(cut->token.Reveal());
  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(parsed->expires_at, end);
  EXPECT_THAT(SignJwtSvid(*keys_, Token(end, minutes(5))),
              FailsWith(Code::kUnavailable, HasSubstr("JWT")));
}

TEST_F(IssuerTest, TheBundleHasEveryKeyWithItsTaint) {
  for (const auto kind : {SigningKeyRecord::X509, SigningKeyRecord::JWT}) {
    const auto rotated = RotateSigningKey(options_, keys_, kind, true, Start() + hours(1));
    ASSERT_THAT(rotated, IsOk());
    keys_ = rotated->keys;
  }
  const types::Bundle bundle = Bundle();
  EXPECT_EQ(bundle.trust_domain(), "example.org");
  EXPECT_EQ(bundle.sequence_number(), 7U);
  EXPECT_EQ(bundle.refresh_hint(), 300);
  ASSERT_EQ(bundle.x509_authorities_size(), 2);
  EXPECT_TRUE(bundle.x509_authorities(0).tainted());
  EXPECT_FALSE(bundle.x509_authorities(1).tainted());
  ASSERT_EQ(bundle.jwt_authorities_size(), 2);
  EXPECT_TRUE(bundle.jwt_authorities(0).tainted());
  EXPECT_FALSE(bundle.jwt_authorities(1).tainted());
  const SigningKeyRecord& active = keys_->Active(SigningKeyRecord::JWT).record;
  EXPECT_EQ(bundle.jwt_authorities(1).key_id(), active.id());
  EXPECT_EQ(bundle.jwt_authorities(1).expires_at(), active.not_after());
  EXPECT_EQ(bundle.jwt_authorities(1).public_key(), active.public_part());
}

TEST_F(IssuerTest, X509_25_TheDocumentHasWhatTheStandardAsksFor) {
  const json::object document = json::parse(SpiffeBundleDocument(Bundle())).as_object();
  EXPECT_EQ(document.at("spiffe_sequence"), 7);
  EXPECT_EQ(document.at("spiffe_refresh_hint"), 300);
  const json::array& keys = document.at("keys").as_array();
  ASSERT_EQ(keys.size(), 2U);
  const json::object& x509 = keys[0].as_object();
  EXPECT_EQ(x509.at("use"), "x509-svid");
  EXPECT_EQ(x509.at("kty"), "EC");
  EXPECT_FALSE(x509.contains("kid"));
  const std::string& certificate = keys_->Active(SigningKeyRecord::X509).record.public_part();
  EXPECT_EQ(x509.at("x5c"), json::array{json::value(Base64Encode(certificate))});
  const json::object& jwt = keys[1].as_object();
  EXPECT_EQ(jwt.at("use"), "jwt-svid");
  EXPECT_EQ(jwt.at("crv"), "P-384");
  EXPECT_EQ(jwt.at("kid"), json::value(keys_->Active(SigningKeyRecord::JWT).record.id()));
}

TEST_F(IssuerTest, ADocumentComesBackAsTheBundleItWasMadeOf) {
  const types::Bundle bundle = Bundle();
  const auto read = ParseBundleDocument(options_.trust_domain, SpiffeBundleDocument(bundle));
  ASSERT_THAT(read, IsOk());
  types::Bundle expected = bundle;
  // The document has no place for it.
  expected.mutable_jwt_authorities(0)->clear_expires_at();
  EXPECT_EQ(read->SerializeAsString(), expected.SerializeAsString());
  const auto without_hint = ParseBundleDocument(options_.trust_domain, R"({"keys":[]})");
  ASSERT_THAT(without_hint, IsOk());
  EXPECT_EQ(without_hint->refresh_hint(), 0);
  EXPECT_EQ(without_hint->trust_domain(), "example.org");
}

TEST_F(IssuerTest, DocumentsThatBreakTheRulesAreRefused) {
  for (const char* bad :
       {"", "[]", "{}", R"({"keys":{}})", R"({"keys":[],"spiffe_sequence":-1})"}) {
    EXPECT_THAT(ParseBundleDocument(options_.trust_domain, bad),
                FailsWithCode(Code::kInvalidArgument))
        << bad;
  }
}

TEST_F(IssuerTest, TDB_5_AnOddRefreshHintKeepsNoKeysAway) {
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  for (const auto& [hint, expected] : {std::pair("300", std::int64_t{300}),
                                       {"-1", 0},
                                       {"1.5", 0},
                                       {"\"300\"", 0},
                                       {"null", 0},
                                       {"2147483649", kMost},
                                       {"18446744073709551615", kMost},
                                       {"1e300", 0}}) {
    const auto read = ParseBundleDocument(
        options_.trust_domain, fmt::format(R"({{"keys":[],"spiffe_refresh_hint":{}}})", hint));
    ASSERT_THAT(read, IsOk()) << hint;
    EXPECT_EQ(read->refresh_hint(), expected) << hint;
  }
}

TEST_F(IssuerTest, TheOidcKeySetHasTheTokenKeysAlone) {
  types::Bundle bundle = Bundle();
  for (const auto& [id, type] :
       {std::pair("p256", KeyType::kEcP256), std::pair("rsa", KeyType::kRsa2048)}) {
    auto* key = bundle.add_jwt_authorities();
    key->set_key_id(id);
    key->set_public_key(PrivateKey::Generate(type)->PublicKey());
  }
  auto* unknown = bundle.add_jwt_authorities();
  unknown->set_key_id("unknown");
  unknown->set_public_key("x");
  const std::string text = OidcKeySet(bundle);
  EXPECT_THAT(text, AllOf(Not(HasSubstr("x5c")), Not(HasSubstr("spiffe"))));
  const json::array keys = json::parse(text).at("keys").as_array();
  ASSERT_EQ(keys.size(), 3U);
  const char* const algorithms[] = {"ES384", "ES256", "RS256"};
  for (std::size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(keys[i].at("use"), "sig");
    EXPECT_EQ(keys[i].at("alg"), algorithms[i]);
  }
  EXPECT_EQ(keys[0].at("kid"), json::value(keys_->Active(SigningKeyRecord::JWT).record.id()));
  EXPECT_TRUE(keys[2].as_object().contains("n"));
}

TEST_F(IssuerTest, BundlesThatOurReadersCannotTakeAreRefused) {
  types::Bundle bundle = Bundle();
  bundle.add_jwt_authorities()->set_key_id("without key");
  const auto read = TrustBundleOf(bundle);
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->jwt_authorities.size(), 1U);
  EXPECT_EQ(read->sequence, 7U);
  bundle.add_x509_authorities()->set_asn1("x");
  EXPECT_THAT(TrustBundleOf(bundle),
              FailsWith(Code::kInvalidArgument, HasSubstr("X.509 authority of example.org")));
  bundle = Bundle();
  bundle.set_trust_domain("Example.org");
  EXPECT_THAT(TrustBundleOf(bundle), FailsWithCode(Code::kInvalidArgument));
}

}  // namespace
}  // namespace credence
