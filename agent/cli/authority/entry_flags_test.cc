#include "agent/cli/authority/entry_flags.h"

#include <CLI/CLI.hpp>
#include <gmock/gmock.h>

#include "agent/cli/authority/wire_types.h"
#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using spire::api::types::FederatesWithMatch;
using spire::api::types::SelectorMatch;
using testing::ElementsAre;
using testing::HasSubstr;

/// The flags that `command` reads from `arguments`.
EntryFlags ReadFlags(std::vector<std::string> arguments, EntryUse use) {
  CLI::App app;
  EntryFlags flags;
  flags.AddTo(app, use);
  app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  return flags;
}

EntryFlags WebFlags() {
  EntryFlags flags;
  flags.spiffe_id = "spiffe://example.org/web";
  flags.selectors = {"unix:user:web"};
  return flags;
}

TEST(EntryFlagsTest, EveryFlagArrivesInTheEntry) {
  const auto entry = EntryFromFlags(ReadFlags({"--entryID",
                                               "e1",
                                               "--spiffeID",
                                               "spiffe://example.org/web",
                                               "--parentID",
                                               "spiffe://example.org/node",
                                               "--selector",
                                               "unix:uid:1",
                                               "--selector",
                                               "a:b:c",
                                               "--x509SVIDTTL",
                                               "60",
                                               "--jwtSVIDTTL",
                                               "61",
                                               "--federatesWith",
                                               "spiffe://other.example",
                                               "--federatesWith",
                                               "third.example",
                                               "--admin",
                                               "--downstream",
                                               "--dns",
                                               "a.example",
                                               "--dns",
                                               "b.example",
                                               "--entryExpiry",
                                               "2000000000",
                                               "--storeSVID",
                                               "--hint",
                                               "h",
                                               "--disableX509SVIDPrefetch",
                                               "--jwtSVIDIncludeJTI"},
                                              EntryUse::kCreate),
                                    EntryUse::kCreate);
  ASSERT_THAT(entry, IsOk());
  EXPECT_EQ(entry->id(), "e1");
  EXPECT_EQ(TextOf(entry->spiffe_id()), "spiffe://example.org/web");
  EXPECT_EQ(TextOf(entry->parent_id()), "spiffe://example.org/node");
  ASSERT_EQ(entry->selectors_size(), 2);
  EXPECT_EQ(entry->selectors(1).type() + "|" + entry->selectors(1).value(), "a|b:c");
  EXPECT_EQ(entry->x509_svid_ttl(), 60);
  EXPECT_EQ(entry->jwt_svid_ttl(), 61);
  EXPECT_THAT(entry->federates_with(), ElementsAre("other.example", "third.example"));
  EXPECT_TRUE(entry->admin());
  EXPECT_TRUE(entry->downstream());
  EXPECT_THAT(entry->dns_names(), ElementsAre("a.example", "b.example"));
  EXPECT_EQ(entry->expires_at(), 2000000000);
  EXPECT_TRUE(entry->store_svid());
  EXPECT_EQ(entry->hint(), "h");
  EXPECT_TRUE(entry->additional_attributes().disable_x509_svid_prefetch());
  EXPECT_TRUE(entry->additional_attributes().jwt_svid_include_jti());
}

TEST(EntryFlagsTest, ANewEntryHangsOnTheLocalNodeUnlessAParentIsGiven) {
  EntryFlags flags = WebFlags();
  EXPECT_EQ(TextOf(EntryFromFlags(flags, EntryUse::kCreate)->parent_id()),
            "spiffe://example.org/node/local");
  flags.node = true;
  EXPECT_EQ(TextOf(EntryFromFlags(flags, EntryUse::kCreate)->parent_id()),
            "spiffe://example.org/spire/server");
  flags.node = false;
  flags.parent_id = "spiffe://example.org/node/other";
  EXPECT_EQ(TextOf(EntryFromFlags(flags, EntryUse::kCreate)->parent_id()),
            "spiffe://example.org/node/other");
}

TEST(EntryFlagsTest, WithoutThemAdditionalAttributesAreAbsent) {
  EXPECT_FALSE(EntryFromFlags(WebFlags(), EntryUse::kCreate)->has_additional_attributes());
}

TEST(EntryFlagsTest, AMistakeNamesTheFlag) {
  struct Row {
    EntryUse use;
    void (*change)(EntryFlags& flags);
    const char* message;
  };
  constexpr Row kRows[] = {
      {EntryUse::kCreate, [](EntryFlags& f) { f.spiffe_id = ""; }, "-spiffeID is missing"},
      {EntryUse::kCreate, [](EntryFlags& f) { f.spiffe_id = "http://a"; }, "-spiffeID: "},
      {EntryUse::kCreate, [](EntryFlags& f) { f.selectors = {}; }, "-selector is missing"},
      {EntryUse::kCreate, [](EntryFlags& f) { f.selectors = {"a:b", "x"}; }, "-selector \"x\": "},
      {EntryUse::kCreate, [](EntryFlags& f) { f.parent_id = "node"; }, "-parentID: "},
      {EntryUse::kCreate,
       [](EntryFlags& f) { f.federates_with = {"spiffe://a.example/b"}; },
       "-federatesWith: \"spiffe://a.example/b\" is no trust domain"},
      {EntryUse::kCreate,
       [](EntryFlags& f) {
         f.node = true;
         f.parent_id = "spiffe://example.org/n";
       },
       "-node and -parentID"},
      {EntryUse::kCreate,
       [](EntryFlags& f) {
         f.node = true;
         f.federates_with = {"a.example"};
       },
       "-node and -federatesWith"},
      {EntryUse::kUpdate,
       [](EntryFlags& f) { f.parent_id = "spiffe://example.org/n"; },
       "-entryID is missing"},
      {EntryUse::kUpdate, [](EntryFlags& f) { f.id = "e"; }, "-parentID is missing"},
  };
  for (const Row& row : kRows) {
    EntryFlags flags = WebFlags();
    row.change(flags);
    EXPECT_THAT(EntryFromFlags(flags, row.use),
                FailsWith(Code::kInvalidArgument, HasSubstr(row.message)))
        << row.message;
  }
}

TEST(EntryFlagsTest, LifetimesAreWholeSecondsThatFit) {
  for (const char* value : {"-5", "x", "1.5", "2147483648"}) {
    const std::string flag = std::string("--x509SVIDTTL=") + value;
    EXPECT_THROW(ReadFlags({flag}, EntryUse::kCreate), CLI::ParseError) << value;
  }
  EXPECT_EQ(ReadFlags({"--x509SVIDTTL=2147483647"}, EntryUse::kCreate).x509_svid_ttl, 2147483647);
}

TEST(EntryFlagsTest, AnUpdateIsNeverOfANodeAlias) {
  EXPECT_THROW(ReadFlags({"--node"}, EntryUse::kUpdate), CLI::ParseError);
}

EntryFilterFlags FilterOf(EntryFilterFlags& flags, std::vector<std::string> arguments) {
  CLI::App app;
  flags.AddTo(app);
  app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  return flags;
}

TEST(EntryFilterFlagsTest, EveryFlagArrivesInBothFilters) {
  EntryFilterFlags flags;
  FilterOf(flags,
           {"--spiffeID",
            "spiffe://example.org/web",
            "--parentID",
            "spiffe://example.org/node",
            "--selector",
            "unix:uid:1",
            "--selector",
            "unix:gid:1",
            "--matchSelectorsOn",
            "any",
            "--federatesWith",
            "spiffe://other.example",
            "--matchFederatesWithOn",
            "exact",
            "--hint",
            "h",
            "--downstream"});
  const auto list = ListFilter(flags);
  ASSERT_THAT(list, IsOk());
  EXPECT_EQ(TextOf(list->by_spiffe_id()), "spiffe://example.org/web");
  EXPECT_EQ(TextOf(list->by_parent_id()), "spiffe://example.org/node");
  EXPECT_EQ(list->by_selectors().selectors_size(), 2);
  EXPECT_EQ(list->by_selectors().match(), SelectorMatch::MATCH_ANY);
  EXPECT_THAT(list->by_federates_with().trust_domains(), ElementsAre("other.example"));
  EXPECT_EQ(list->by_federates_with().match(), FederatesWithMatch::MATCH_EXACT);
  EXPECT_EQ(list->by_hint().value(), "h");
  EXPECT_TRUE(list->by_downstream().value());
  const auto count = CountFilter(flags);
  ASSERT_THAT(count, IsOk());
  EXPECT_EQ(count->SerializeAsString(), list->SerializeAsString());
}

TEST(EntryFilterFlagsTest, WithoutFlagsNothingIsFiltered) {
  EntryFilterFlags flags;
  FilterOf(flags, {});
  EXPECT_TRUE(flags.empty());
  EXPECT_EQ(ListFilter(flags)->ByteSizeLong(), 0U);
}

TEST(EntryFilterFlagsTest, DownstreamCanAskForTheOthers) {
  EntryFilterFlags flags;
  FilterOf(flags, {"--downstream=false"});
  ASSERT_THAT(ListFilter(flags), IsOk());
  EXPECT_TRUE(ListFilter(flags)->has_by_downstream());
  EXPECT_FALSE(ListFilter(flags)->by_downstream().value());
}

TEST(EntryFilterFlagsTest, SelectorsMatchAsASupersetIfNothingIsSaid) {
  EntryFilterFlags flags;
  FilterOf(flags, {"--selector", "unix:uid:1"});
  EXPECT_EQ(ListFilter(flags)->by_selectors().match(), SelectorMatch::MATCH_SUPERSET);
  EntryFilterFlags wrong;
  EXPECT_THROW(FilterOf(wrong, {"--matchSelectorsOn", "foo"}), CLI::ParseError);
}

}  // namespace
}  // namespace credence
