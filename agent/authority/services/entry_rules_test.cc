#include "agent/authority/services/entry_rules.h"

#include <functional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/authority/services/testing/entries.h"
#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using spire::api::types::Entry;
using testing::HasSubstr;

Result<void> Check(const Entry& entry) {
  return CheckEntry(entry, TrustDomain::Parse("example.org").value(), [](std::string_view name) {
    return name == "known.org";
  });
}

Entry GoodEntry() {
  Entry entry = *EntryOf("my-id_1.x", "/ns/prod/web", "/node/local", {"unix:uid:1", "k8s:ns:a:b"});
  entry.add_federates_with("known.org");
  entry.add_dns_names("web.example.org");
  entry.add_dns_names("*.example.org");
  entry.set_hint("internal");
  entry.set_x509_svid_ttl(3600);
  return entry;
}

TEST(EntryRulesTest, AnEntryWithEverythingIsGood) {
  EXPECT_THAT(Check(GoodEntry()), IsOk());
  EXPECT_THAT(Check(*EntryOf("", "/web", "/spire/server")), IsOk());
}

struct EntryRuleCase {
  std::string name;
  std::function<void(Entry&)> spoil;
  std::string reason;
};

void PrintTo(const EntryRuleCase& c, std::ostream* out) {
  *out << c.name;
}

class EntryRejectTest : public testing::TestWithParam<EntryRuleCase> {};

TEST_P(EntryRejectTest, IsRefusedWithTheField) {
  Entry entry = GoodEntry();
  GetParam().spoil(entry);
  EXPECT_THAT(Check(entry), FailsWith(Code::kInvalidArgument, HasSubstr(GetParam().reason)));
}

INSTANTIATE_TEST_SUITE_P(
    ,
    EntryRejectTest,
    testing::Values(
        EntryRuleCase{"IdWithSlash", [](Entry& e) { e.set_id("a/b"); }, "id: "},
        EntryRuleCase{"LongId", [](Entry& e) { e.set_id(std::string(256, 'a')); }, "id: "},
        EntryRuleCase{"ForeignId",
                      [](Entry& e) { e.mutable_spiffe_id()->set_trust_domain("other.org"); },
                      "spiffe_id: is not of trust domain example.org"},
        EntryRuleCase{"NoPath", [](Entry& e) { e.mutable_spiffe_id()->set_path(""); }, "spiffe_id"},
        EntryRuleCase{"Reserved",
                      [](Entry& e) { e.mutable_spiffe_id()->set_path("/spire/agent/x"); },
                      "under /spire"},
        EntryRuleCase{"DotSegment",
                      [](Entry& e) { e.mutable_spiffe_id()->set_path("/a/../b"); },
                      "spiffe_id"},
        EntryRuleCase{"NoParent", [](Entry& e) { e.clear_parent_id(); }, "parent_id"},
        EntryRuleCase{"ParentIsTrustDomain",
                      [](Entry& e) { e.mutable_parent_id()->set_path(""); },
                      "parent_id"},
        EntryRuleCase{"ForeignParent",
                      [](Entry& e) { e.mutable_parent_id()->set_trust_domain("other.org"); },
                      "parent_id"},
        EntryRuleCase{
            "OwnParent", [](Entry& e) { *e.mutable_parent_id() = e.spiffe_id(); }, "own SPIFFE ID"},
        EntryRuleCase{"NoSelectors", [](Entry& e) { e.clear_selectors(); }, "selectors"},
        EntryRuleCase{"SelectorWithoutValue",
                      [](Entry& e) { e.mutable_selectors(0)->clear_value(); },
                      "selectors"},
        EntryRuleCase{"SelectorTypeWithColon",
                      [](Entry& e) { e.mutable_selectors(0)->set_type("a:b"); },
                      "selectors"},
        EntryRuleCase{"NegativeLife", [](Entry& e) { e.set_jwt_svid_ttl(-1); }, "not negative"},
        EntryRuleCase{"LongHint", [](Entry& e) { e.set_hint(std::string(1025, 'h')); }, "hint"},
        EntryRuleCase{
            "MixedStoreSelectors", [](Entry& e) { e.set_store_svid(true); }, "of one type only"},
        EntryRuleCase{"DnsNameWithSpace", [](Entry& e) { e.add_dns_names("a b"); }, "dns_names"},
        EntryRuleCase{"DnsNameEmptyLabel", [](Entry& e) { e.add_dns_names("a..b"); }, "dns_names"},
        EntryRuleCase{
            "DnsNameInnerWildcard", [](Entry& e) { e.add_dns_names("a.*.b"); }, "dns_names"},
        EntryRuleCase{"FederatesWithItself",
                      [](Entry& e) { e.add_federates_with("example.org"); },
                      "own trust domain"},
        EntryRuleCase{"FederatesWithUnknown",
                      [](Entry& e) { e.add_federates_with("unknown.org"); },
                      "bundle of unknown.org is not known"}),
    [](const auto& test) { return test.param.name; });

TEST(EntryRulesTest, AMaskKeepsItsFieldsAndTheId) {
  spire::api::types::EntryMask mask;
  mask.set_spiffe_id(true);
  mask.set_hint(true);
  const Entry masked = Masked(GoodEntry(), &mask);
  EXPECT_EQ(masked.id(), "my-id_1.x");
  EXPECT_EQ(masked.spiffe_id().path(), "/ns/prod/web");
  EXPECT_EQ(masked.hint(), "internal");
  EXPECT_TRUE(masked.selectors().empty());
  EXPECT_EQ(masked.x509_svid_ttl(), 0);
  EXPECT_EQ(Masked(GoodEntry(), nullptr).selectors_size(), 2);
}

}  // namespace
}  // namespace credence
