#include "agent/cli/authority/entry_export.h"

#include <utility>

#include <boost/json/parse.hpp>
#include <gmock/gmock.h>

#include "agent/cli/authority/entry_file.h"
#include "agent/cli/authority/wire_types.h"
#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using spire::api::types::Entry;
using testing::ElementsAre;
using testing::IsEmpty;

Entry MadeEntry(const std::string& id,
                const std::string& path,
                const std::string& parent,
                const std::string& selector = "unix:uid:1") {
  Entry entry;
  entry.set_id(id);
  *entry.mutable_spiffe_id() = WireId("id", "spiffe://example.org" + path).value();
  *entry.mutable_parent_id() = WireId("parent", "spiffe://example.org" + parent).value();
  *entry.add_selectors() = WireSelector("selector", selector).value();
  return entry;
}

std::vector<std::string> IdsOf(const std::vector<Entry>& entries) {
  std::vector<std::string> ids;
  for (const Entry& entry : entries) {
    ids.push_back(entry.id());
  }
  return ids;
}

TEST(EntryExportTest, OtherNamesOfAgentsStayBehindAndTheNodeIsNamed) {
  const std::string agent = "/spire/agent/join_token/t1";
  Entry early = MadeEntry("e9", "/early", "/node/local");
  early.set_created_at(-5);
  const auto chosen = SelectForExport(
      {MadeEntry("e2", "/web", "/node/local"),
       MadeEntry("e1", "/node/local", agent, "spiffe_id:spiffe://example.org" + agent),
       early});
  EXPECT_THAT(IdsOf(chosen.entries), ElementsAre("e9", "e2"));
  EXPECT_EQ(chosen.aliases, 1U);
  EXPECT_THAT(chosen.nodes, ElementsAre("spiffe://example.org/node/local"));
  EXPECT_THAT(chosen.agents, IsEmpty());
  EXPECT_THAT(chosen.federated, IsEmpty());
}

TEST(EntryExportTest, AParentThatAnEntryGivesIsNoNodeToSeeTo) {
  auto gateway = MadeEntry("e2", "/web", "/nodes/a");
  gateway.add_federates_with("other.example");
  const auto chosen =
      SelectForExport({MadeEntry("e1", "/nodes/a", "/spire/server", "x509pop:subject:cn:a"),
                       gateway,
                       MadeEntry("e3", "/below", "/web")});
  EXPECT_THAT(IdsOf(chosen.entries), ElementsAre("e1", "e2", "e3"));
  EXPECT_THAT(chosen.nodes, IsEmpty());
  EXPECT_THAT(chosen.federated, ElementsAre("other.example"));
}

TEST(EntryExportTest, WorkloadsOfAnAgentGoOverAndTheAgentIsNamed) {
  const std::string agent = "/spire/agent/x509pop/f1";
  const auto chosen =
      SelectForExport({MadeEntry("e1", "/web", agent),
                       MadeEntry("e2", "/odd", agent, "spiffe_id:spiffe://example.org/other")});
  EXPECT_THAT(IdsOf(chosen.entries), ElementsAre("e1", "e2"));
  EXPECT_THAT(chosen.agents, ElementsAre("spiffe://example.org" + agent));
  EXPECT_EQ(chosen.aliases, 0U);
}

TEST(EntryExportTest, WhatIsWrittenIsReadBackWhole) {
  Entry entry = MadeEntry("e1", "/web", "/node/local", "unix:path:/usr/bin/\"a b\"");
  entry.set_x509_svid_ttl(600);
  entry.set_jwt_svid_ttl(60);
  entry.add_federates_with("other.example");
  entry.add_dns_names("web.example.org");
  entry.set_hint("h\xc3\xa4");
  entry.set_admin(true);
  entry.set_downstream(true);
  entry.set_store_svid(true);
  entry.set_expires_at(4'000'000'000);
  entry.mutable_additional_attributes()->set_disable_x509_svid_prefetch(true);
  entry.mutable_additional_attributes()->set_jwt_svid_include_jti(true);
  const Entry plain = MadeEntry("e2", "/plain", "/node/local");
  const auto read = ParseEntryFile(FormatEntryFile({entry, plain}), EntryUse::kCreate);
  ASSERT_THAT(read, IsOk());
  ASSERT_EQ(read->size(), 2U);
  EXPECT_EQ(read->at(0).DebugString(), entry.DebugString());
  EXPECT_EQ(read->at(1).DebugString(), plain.DebugString());
}

TEST(EntryExportTest, TheNamesAreThoseThatARealServerTakes) {
  Entry entry = MadeEntry("e1", "/web", "/node/local");
  entry.add_federates_with("other.example");
  entry.set_expires_at(4'000'000'000);
  EXPECT_EQ(boost::json::parse(FormatEntryFile({entry})), boost::json::parse(R"({"entries": [{
    "entry_id": "e1", "spiffe_id": "spiffe://example.org/web",
    "parent_id": "spiffe://example.org/node/local",
    "selectors": [{"type": "unix", "value": "uid:1"}],
    "federates_with": ["spiffe://other.example"], "entryExpiry": 4000000000}]})"));
  EXPECT_EQ(boost::json::parse(FormatEntryFile({})), boost::json::parse(R"({"entries": []})"));
}

TEST(EntryExportTest, PartsFitIntoOneMessageEach) {
  EXPECT_THAT(SplitForServer({}), IsEmpty());
  std::vector<Entry> many(7, MadeEntry("e1", "/web", "/node/local"));
  for (Entry& entry : many) {
    entry.set_hint(std::string(std::size_t{1} << 20, 'h'));
  }
  const auto parts = SplitForServer(std::move(many));
  std::vector<std::size_t> sizes;
  for (const auto& part : parts) {
    sizes.push_back(part.size());
  }
  EXPECT_THAT(sizes, ElementsAre(2U, 2U, 2U, 1U));
}

}  // namespace
}  // namespace credence
