#include "agent/upstream/translate.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "tests/testkit/fake_spire_server.h"

namespace credence {
namespace {

namespace types = spire::api::types;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(EntryFromServerTest, TakesEveryField) {
  auto entry = testkit::MakeEntry(7);
  entry.add_federates_with("other.test");
  entry.set_hint("internal");
  entry.set_admin(true);
  entry.set_downstream(true);
  entry.set_store_svid(true);
  entry.set_revision_number(3);
  entry.mutable_additional_attributes()->set_disable_x509_svid_prefetch(true);
  entry.mutable_additional_attributes()->set_jwt_svid_include_jti(true);
  const auto translated = EntryFromServer(entry);
  ASSERT_THAT(translated, IsOk());
  EXPECT_EQ(translated->id, "entry-00007");
  EXPECT_EQ(translated->spiffe_id.text(), "spiffe://example.org/workload/7");
  EXPECT_THAT(translated->selectors.items(), ElementsAre(Selector{"unix", "uid:7"}));
  EXPECT_THAT(translated->federates_with, ElementsAre(*TrustDomain::Parse("other.test")));
  EXPECT_EQ(translated->hint, "internal");
  EXPECT_EQ(translated->revision, 3);
  EXPECT_EQ(translated->created_at, 1'700'000'007);
  EXPECT_TRUE(translated->admin && translated->downstream && translated->store_svid);
  EXPECT_TRUE(translated->no_x509_prefetch && translated->jwt_svid_has_jti);
}

TEST(EntryFromServerTest, WA_52_AHintOf1024BytesIsKept) {
  auto entry = testkit::MakeEntry(1);
  entry.set_hint(std::string(1024, 'h'));
  const auto translated = EntryFromServer(entry);
  ASSERT_THAT(translated, IsOk());
  EXPECT_EQ(translated->hint, entry.hint());
}

struct BadEntry {
  std::string name;
  void (*damage)(types::Entry&);
};

class EntryFromServerRejectTest : public testing::TestWithParam<BadEntry> {};

TEST_P(EntryFromServerRejectTest, IsRefused) {
  auto entry = testkit::MakeEntry(1);
  GetParam().damage(entry);
  EXPECT_THAT(EntryFromServer(entry), FailsWithCode(Code::kInvalidArgument));
}

INSTANTIATE_TEST_SUITE_P(
    Rules,
    EntryFromServerRejectTest,
    testing::Values(
        BadEntry{"NoId", [](types::Entry& entry) { entry.clear_id(); }},
        BadEntry{"NoSpiffeId", [](types::Entry& entry) { entry.clear_spiffe_id(); }},
        BadEntry{"BadTrustDomain",
                 [](types::Entry& entry) { entry.mutable_spiffe_id()->set_trust_domain("UPPER"); }},
        BadEntry{"BadPath",
                 [](types::Entry& entry) { entry.mutable_spiffe_id()->set_path("/a//b"); }},
        BadEntry{"NoSelectors", [](types::Entry& entry) { entry.clear_selectors(); }},
        BadEntry{"EmptyType",
                 [](types::Entry& entry) { entry.mutable_selectors(0)->clear_type(); }},
        BadEntry{"EmptyValue",
                 [](types::Entry& entry) { entry.mutable_selectors(0)->clear_value(); }},
        BadEntry{"ColonInType",
                 [](types::Entry& entry) { entry.mutable_selectors(0)->set_type("a:b"); }},
        BadEntry{"BadFederation",
                 [](types::Entry& entry) { entry.add_federates_with("spiffe://x"); }},
        BadEntry{"WA_52_LongHint",
                 [](types::Entry& entry) { entry.set_hint(std::string(1025, 'h')); }}),
    [](const auto& test) { return test.param.name; });

TEST(BundleFromServerTest, TakesAuthoritiesAndLeavesOutNamelessKeys) {
  const testkit::SpiffeCa ca("example.org");
  types::Bundle bundle;
  bundle.set_trust_domain("example.org");
  bundle.set_sequence_number(5);
  bundle.add_x509_authorities()->set_asn1(ca.certificate());
  auto* key = bundle.add_jwt_authorities();
  key->set_key_id("one");
  key->set_public_key("spki");
  bundle.add_jwt_authorities()->set_public_key("nameless");
  const auto translated = BundleFromServer(bundle, *TrustDomain::Parse("example.org"));
  ASSERT_THAT(translated, IsOk());
  EXPECT_THAT(translated->x509_authorities, ElementsAre(ca.certificate()));
  EXPECT_THAT(translated->jwt_authorities, ElementsAre(JwtAuthority{"one", "spki"}));
  EXPECT_EQ(translated->sequence, 5U);
}

TEST(BundleFromServerTest, TellsWhichAuthoritiesAreTainted) {
  const testkit::SpiffeCa old_ca("example.org");
  const testkit::SpiffeCa new_ca("example.org");
  types::Bundle bundle;
  bundle.set_trust_domain("example.org");
  auto* tainted = bundle.add_x509_authorities();
  tainted->set_asn1(old_ca.certificate());
  tainted->set_tainted(true);
  bundle.add_x509_authorities()->set_asn1(new_ca.certificate());
  auto* key = bundle.add_jwt_authorities();
  key->set_key_id("one");
  key->set_public_key("spki");
  key->set_tainted(true);
  const auto translated = BundleFromServer(bundle, *TrustDomain::Parse("example.org"));
  ASSERT_THAT(translated, IsOk());
  EXPECT_THAT(translated->x509_authorities,
              ElementsAre(old_ca.certificate(), new_ca.certificate()));
  EXPECT_THAT(translated->tainted_x509_authorities, ElementsAre(old_ca.certificate()));
  EXPECT_TRUE(translated->jwt_authorities.front().tainted);
}

TEST(BundleFromServerTest, AnotherTrustDomainOrDamagedAuthorityIsRefused) {
  const auto domain = *TrustDomain::Parse("example.org");
  types::Bundle bundle;
  bundle.set_trust_domain("other.test");
  EXPECT_THAT(BundleFromServer(bundle, domain),
              FailsWith(Code::kInternal, HasSubstr("example.org")));
  bundle.set_trust_domain("example.org");
  bundle.add_x509_authorities()->set_asn1("no certificate");
  EXPECT_THAT(BundleFromServer(bundle, domain), FailsWithCode(Code::kInternal));
}

TEST(SvidFromServerTest, ForeignRubbishIsInternal) {
  types::X509SVID x509;
  EXPECT_THAT(X509SvidFromServer(x509), FailsWith(Code::kInternal, HasSubstr("X509-SVID")));
  x509.add_cert_chain("no certificate");
  EXPECT_THAT(X509SvidFromServer(x509), FailsWith(Code::kInternal, HasSubstr("X509-SVID")));
  types::JWTSVID jwt;
  jwt.set_token("no.token.here");
  EXPECT_THAT(JwtSvidFromServer(jwt), FailsWith(Code::kInternal, HasSubstr("JWT-SVID")));
}

}  // namespace
}  // namespace credence
