#include "agent/cli/authority/entry_file.h"

#include <gmock/gmock.h>

#include "agent/cli/authority/wire_types.h"
#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

std::string EntryFile(const std::string& members) {
  return "{\"entries\": [{" + members + "}]}";
}

constexpr const char* kSelectors = R"("selectors": [{"type": "unix", "value": "uid:1000"}])";
constexpr const char* kWeb = R"("spiffe_id": "spiffe://example.org/web", )";

TEST(EntryFileTest, EveryMemberArrives) {
  const auto entries =
      ParseEntryFile(EntryFile(R"("entry_id": "e1", "spiffe_id": "spiffe://example.org/web",
        "parent_id": "spiffe://example.org/node", "x509_svid_ttl": 60, "jwt_svid_ttl": 61,
        "selectors": [{"type": "unix", "value": "uid:1"}, {"value": "b:c", "type": "a"}],
        "federates_with": ["spiffe://other.example", "third.example"], "admin": true,
        "downstream": true, "entryExpiry": 2000000000, "dns_names": ["a.example", "b.example"],
        "store_svid": true, "hint": "h", "revision_number": 7, "created_at": 5,
        "additional_attributes": {"disable_x509_svid_prefetch": true,
                                  "jwt_svid_include_jti": true})"),
                     EntryUse::kUpdate);
  ASSERT_THAT(entries, IsOkAndHolds(SizeIs(1)));
  const auto& entry = entries->front();
  EXPECT_EQ(entry.id(), "e1");
  EXPECT_EQ(TextOf(entry.spiffe_id()), "spiffe://example.org/web");
  EXPECT_EQ(TextOf(entry.parent_id()), "spiffe://example.org/node");
  EXPECT_EQ(entry.x509_svid_ttl(), 60);
  EXPECT_EQ(entry.jwt_svid_ttl(), 61);
  ASSERT_EQ(entry.selectors_size(), 2);
  EXPECT_EQ(entry.selectors(1).type() + "|" + entry.selectors(1).value(), "a|b:c");
  EXPECT_THAT(entry.federates_with(), ElementsAre("other.example", "third.example"));
  EXPECT_TRUE(entry.admin());
  EXPECT_TRUE(entry.downstream());
  EXPECT_EQ(entry.expires_at(), 2000000000);
  EXPECT_THAT(entry.dns_names(), ElementsAre("a.example", "b.example"));
  EXPECT_TRUE(entry.store_svid());
  EXPECT_EQ(entry.hint(), "h");
  EXPECT_TRUE(entry.additional_attributes().disable_x509_svid_prefetch());
  EXPECT_TRUE(entry.additional_attributes().jwt_svid_include_jti());
  EXPECT_EQ(entry.revision_number(), 0);
  EXPECT_EQ(entry.created_at(), 0);
}

TEST(EntryFileTest, NamesCountWhateverTheirSpelling) {
  for (const char* name : {"spiffe_id", "spiffeId", "SPIFFE_ID", "spiffeID"}) {
    const auto entries = ParseEntryFile(
        EntryFile(std::string("\"") + name + R"(": "spiffe://example.org/web", )" + kSelectors),
        EntryUse::kCreate);
    ASSERT_THAT(entries, IsOkAndHolds(SizeIs(1))) << name;
    EXPECT_EQ(TextOf(entries->front().spiffe_id()), "spiffe://example.org/web");
  }
}

TEST(EntryFileTest, AMemberThatIsNullIsNotThere) {
  const auto entries = ParseEntryFile(
      EntryFile(std::string(kWeb) + R"("hint": null, "parent_id": null, )" + kSelectors),
      EntryUse::kCreate);
  ASSERT_THAT(entries, IsOkAndHolds(SizeIs(1)));
  EXPECT_EQ(TextOf(entries->front().parent_id()), "spiffe://example.org/node/local");
  EXPECT_FALSE(entries->front().has_additional_attributes());
}

TEST(EntryFileTest, NoEntriesAreNoMistake) {
  EXPECT_THAT(ParseEntryFile(R"({"entries": []})", EntryUse::kCreate), IsOkAndHolds(SizeIs(0)));
}

TEST(EntryFileTest, AMistakeIsNamedWithItsPlace) {
  struct Row {
    std::string members;
    const char* message;
  };
  const std::string web = kWeb;
  const std::string more = std::string(", ") + kSelectors;
  const Row rows[] = {
      {kSelectors, "entry 1: spiffe_id is missing"},
      {R"("spiffe_id": "http://example.org")" + more, "entry 1: spiffe_id: not a SPIFFE ID"},
      {R"("spiffe_id": {"path": "/web"})" + more, "entry 1: spiffe_id: expected a text"},
      {web + R"("parent_id": "spiffe://Example.org")" + more, "entry 1: parent_id"},
      {web + R"("selectors": [])", "entry 1: selectors are missing"},
      {web + R"("selectors": ["unix:uid:1"])", "entry 1: selectors: expected a list"},
      {web + R"("selectors": [{"type": "unix"}])", "selectors: expected a list"},
      {web + R"("selectors": [{"type": "unix", "value": "a", "more": 1}])", "selectors: expected"},
      {web + R"("selectors": [{"type": "unix", "value": ""}])", "needs a type and a value"},
      {web + R"("x509_svid_ttl": "60")" + more, "x509_svid_ttl: expected a whole number"},
      {web + R"("x509_svid_ttl": 60.5)" + more, "x509_svid_ttl: expected a whole number"},
      {web + R"("jwt_svid_ttl": -1)" + more, "jwt_svid_ttl: expected a whole number from 0"},
      {web + R"("jwt_svid_ttl": 2147483648)" + more, "from 0 to 2147483647"},
      {web + R"("entryExpiry": "soon")" + more, "entryExpiry: expected a whole number"},
      {web + R"("admin": "true")" + more, "admin: expected true or false"},
      {web + R"("dns_names": "a.example")" + more, "dns_names: expected a list of texts"},
      {web + R"("dns_names": [1])" + more, "dns_names: expected a list of texts"},
      {web + R"("federates_with": ["spiffe://a.example/x"])" + more, "federates_with: not a trust"},
      {web + R"("additional_attributes": {"x": true})" + more, "\"x\" is no member"},
      {web + R"("additional_attributes": [])" + more, "expected an object"},
      {web + R"("ttl": 60)" + more, "\"ttl\" is no member of an entry"},
      {web + R"("spiffeId": "spiffe://example.org/b")" + more, "\"spiffeId\" is there twice"},
  };
  for (const Row& row : rows) {
    EXPECT_THAT(ParseEntryFile(EntryFile(row.members), EntryUse::kCreate),
                FailsWith(Code::kInvalidArgument, HasSubstr(row.message)))
        << row.members;
  }
}

TEST(EntryFileTest, TheNumberOfTheEntryIsThatOfTheFile) {
  const std::string good = std::string("{") + kWeb + kSelectors + "}";
  EXPECT_THAT(ParseEntryFile("{\"entries\": [" + good + ", " + good + ", 1]}", EntryUse::kCreate),
              FailsWith(Code::kInvalidArgument, "entry 3: expected an object"));
}

TEST(EntryFileTest, AnUpdateSaysWhichEntryAndItsParent) {
  const std::string rest = std::string(kWeb) + kSelectors;
  EXPECT_THAT(ParseEntryFile(EntryFile(rest), EntryUse::kUpdate),
              FailsWith(Code::kInvalidArgument, HasSubstr("entry_id is missing")));
  EXPECT_THAT(ParseEntryFile(EntryFile("\"entry_id\": \"e\", " + rest), EntryUse::kUpdate),
              FailsWith(Code::kInvalidArgument, HasSubstr("parent_id is missing")));
}

TEST(EntryFileTest, WhatIsNoListOfEntriesIsRefused) {
  for (const char* text : {"",
                           "null",
                           "[]",
                           "{}",
                           R"({"entries": {}})",
                           R"({"entries": null})",
                           R"({"entries": [], "more": []})",
                           R"({"entries": [], "ENTRIES": []})",
                           R"({"entries": [], "entries": []})",
                           R"({"entries": []} more)",
                           R"({"ids": []})"}) {
    EXPECT_THAT(ParseEntryFile(text, EntryUse::kCreate), FailsWithCode(Code::kInvalidArgument))
        << text;
  }
  EXPECT_THAT(ParseEntryFile(R"({"entries": [], "x": 1})", EntryUse::kCreate),
              FailsWith(Code::kInvalidArgument, AllOf(HasSubstr("\"x\""), HasSubstr("entries"))));
}

TEST(IdFileTest, HoldsIdsAndNothingElse) {
  EXPECT_THAT(ParseIdFile(R"({"ids": ["a", "b"]})"), IsOkAndHolds(ElementsAre("a", "b")));
  EXPECT_THAT(ParseIdFile(R"({"ids": ["a", ""]})"),
              FailsWith(Code::kInvalidArgument, HasSubstr("id 2")));
  for (const char* text :
       {"", "[\"a\"]", R"({"ids": "a"})", R"({"ids": [1]})", R"({"ids": ["a"], "foo": 1})"}) {
    EXPECT_THAT(ParseIdFile(text), FailsWithCode(Code::kInvalidArgument)) << text;
  }
}

}  // namespace
}  // namespace credence
