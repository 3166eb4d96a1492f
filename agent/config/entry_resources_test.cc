#include "agent/config/entry_resources.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/config/testing/fake_adapter.h"
#include "agent/config/testing/temporary_folder.h"

namespace credence {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

std::string EntryYaml(const std::string& metadata, const std::string& spec) {
  return "apiVersion: credence/v1\nkind: Entry\nmetadata: " + metadata + "\nspec: " + spec + "\n";
}

std::vector<std::string> EntryMistakes(const std::string& yaml) {
  std::vector<std::string> texts;
  const auto outcome = ParseEntryResources(yaml, "e.yaml");
  for (const ConfigMistake& mistake : outcome.mistakes) {
    texts.push_back(mistake.ToString());
  }
  EXPECT_TRUE(texts.empty() || outcome.entries.empty());
  return texts;
}

TEST(EntryResourcesTest, EveryFieldArrives) {
  const auto outcome = ParseEntryResources(R"(apiVersion: credence/v1
kind: Entry
metadata: {name: web, owner: team-web, expires: 2033-05-18}
spec:
  spiffe_id: spiffe://example.org/web
  parent_id: spiffe://example.org/node/a
  selectors: [unix:user:web, "unix:path:/usr/bin/web"]
  x509_svid_ttl: 30m
  jwt_svid_ttl: 90s
  federates_with: [other.example, "spiffe://third.example"]
  dns_names: [web.example.org]
  hint: main
  admin: true
  downstream: true
  store_svid: true
  disable_x509_svid_prefetch: true
  jwt_svid_include_jti: true
)",
                                           "e.yaml");
  ASSERT_THAT(outcome.mistakes, IsEmpty());
  ASSERT_EQ(outcome.entries.size(), 1U);
  const EntryResource& entry = outcome.entries[0];
  EXPECT_EQ(entry.name, "web");
  EXPECT_EQ(entry.owner, "team-web");
  EXPECT_EQ(ToUnixSeconds(entry.expires.value()), 1'999'987'200);
  EXPECT_EQ(entry.spiffe_id.text(), "spiffe://example.org/web");
  EXPECT_EQ(entry.parent_id.text(), "spiffe://example.org/node/a");
  EXPECT_EQ(entry.selectors.items().size(), 2U);
  EXPECT_EQ(entry.x509_svid_ttl, std::chrono::minutes(30));
  EXPECT_EQ(entry.jwt_svid_ttl, std::chrono::seconds(90));
  ASSERT_EQ(entry.federates_with.size(), 2U);
  EXPECT_EQ(entry.federates_with[1].name(), "third.example");
  EXPECT_THAT(entry.dns_names, ElementsAre("web.example.org"));
  EXPECT_EQ(entry.hint, "main");
  EXPECT_TRUE(entry.admin && entry.downstream && entry.store_svid);
  EXPECT_TRUE(entry.disable_x509_svid_prefetch && entry.jwt_svid_include_jti);
  EXPECT_EQ(entry.origin.file, "e.yaml");
  EXPECT_EQ(entry.origin.line, 1);
}

TEST(EntryResourcesTest, WhatIsLeftOutIsTheAuthoritysChoice) {
  const auto outcome = ParseEntryResources(
      EntryYaml("{name: web}", "{spiffe_id: spiffe://example.org/web, selectors: [unix:uid:1]}"),
      "e.yaml");
  ASSERT_EQ(outcome.entries.size(), 1U);
  const EntryResource& entry = outcome.entries[0];
  EXPECT_EQ(entry.parent_id.text(), "spiffe://example.org/node/local");
  EXPECT_EQ(entry.x509_svid_ttl.count() + entry.jwt_svid_ttl.count(), 0);
  EXPECT_FALSE(entry.expires.has_value());
  EXPECT_FALSE(entry.admin || entry.downstream || entry.store_svid);
}

TEST(EntryResourcesTest, TheAgentsDocumentsArePassedOverAndTheOtherWayRound) {
  const std::string grant =
      "---\napiVersion: credence/v1\nkind: Grant\nmetadata: {name: g}\nspec: {subject: "
      "{spiffe_id: spiffe://example.org/web}, destination: kv}\n";
  const std::string destination =
      "---\napiVersion: credence/v1\nkind: Destination\nmetadata: {name: kv}\nspec: {adapter: "
      "openbao, settings: {address: https://x}}\n";
  const std::string entry =
      EntryYaml("{name: web}", "{spiffe_id: spiffe://example.org/web, selectors: [unix:uid:1]}");
  const auto entries = ParseEntryResources(entry + grant + destination, "all.yaml");
  EXPECT_THAT(entries.mistakes, IsEmpty());
  EXPECT_EQ(entries.entries.size(), 1U);
  const FakeAdapter adapter("openbao");
  const auto policy = ParseResources(entry + grant + destination, "all.yaml", {&adapter});
  ASSERT_NE(policy.resources, nullptr);
  EXPECT_EQ(policy.resources->grants.size(), 1U);
  EXPECT_EQ(policy.resources->destinations.size(), 1U);
  // What is wrong within a document is for its own reader to say.
  EXPECT_NE(ParseResources(EntryYaml("{}", "{}"), "e.yaml", {&adapter}).resources, nullptr);
  EXPECT_THAT(EntryMistakes("kind: Grant\nspec: 1\n"), IsEmpty());
}

TEST(EntryResourcesTest, EachMistakeIsNamedWithItsPlace) {
  const std::string good = "spiffe_id: spiffe://example.org/web, selectors: [unix:uid:1]";
  const struct {
    std::string yaml;
    std::string mistake;
  } rows[] = {
      {"", "e.yaml: has no resource"},
      {"{", "e.yaml:"},
      {"- 1\n", "e.yaml:1:1: expected a resource"},
      {"kind: Entri\n",
       "e.yaml:1:7: kind: expected Entry, Destination or Grant, found \"Entri\"; "
       "did you mean \"Entry\"?"},
      {"apiVersion: credence/v1\n", "e.yaml:1:1: kind: is missing"},
      {EntryYaml("{}", "{" + good + "}"), "e.yaml:3:11: Entry: metadata.name: is missing"},
      {EntryYaml("{name: A_B}", "{" + good + "}"), "e.yaml:3:18: Entry: metadata.name: expected"},
      {EntryYaml("{name: w, expires: soon}", "{" + good + "}"),
       "e.yaml:3:30: Entry w: metadata.expires: expected a date"},
      {EntryYaml("{name: w, expires: ''}", "{" + good + "}"),
       "Entry w: metadata.expires: expected a date"},
      {EntryYaml("{name: ''}", "{" + good + "}"), "Entry: metadata.name: expected up to 63"},
      {EntryYaml("{name: w}", "{" + good + ", parent_id: ''}"), "Entry w: spec.parent_id:"},
      {EntryYaml("{name: w}", "{" + good + ", x509_svid_ttl: ''}"),
       "Entry w: spec.x509_svid_ttl: expected a duration"},
      {EntryYaml("{name: w}", "{" + good + ", jwt_svid_ttl: ''}"),
       "Entry w: spec.jwt_svid_ttl: expected a duration"},
      {EntryYaml("{name: w, sensitivity: high}", "{" + good + "}"),
       "e.yaml:3:21: Entry w: metadata.sensitivity: unknown key"},
      {EntryYaml("{name: w}", "{selectors: [unix:uid:1]}"),
       "e.yaml:4:7: Entry w: spec.spiffe_id: is missing"},
      {EntryYaml("{name: w}", "{spiffe_id: example.org/web, selectors: [unix:uid:1]}"),
       "e.yaml:4:19: Entry w: spec.spiffe_id:"},
      {EntryYaml("{name: w}", "{spiffe_id: spiffe://example.org/web}"),
       "e.yaml:4:7: Entry w: spec.selectors: is missing"},
      {EntryYaml("{name: w}", "{spiffe_id: spiffe://example.org/web, selectors: [unix]}"),
       "e.yaml:4:57: Entry w: spec.selectors:"},
      {EntryYaml("{name: w}", "{" + good + ", parent_id: node}"), "Entry w: spec.parent_id:"},
      {EntryYaml("{name: w}", "{" + good + ", x509_svid_ttl: 60}"), "Entry w: spec.x509_svid_ttl:"},
      {EntryYaml("{name: w}", "{" + good + ", jwt_svid_ttl: 1500ms}"),
       "Entry w: spec.jwt_svid_ttl: expected whole seconds, such as 10m, found 1"},
      {EntryYaml("{name: w}", "{" + good + ", jwt_svid_ttl: 0s}"), "expected whole seconds"},
      {EntryYaml("{name: w}", "{" + good + ", federates_with: [A/b]}"), "spec.federates_with:"},
      {EntryYaml("{name: w}", "{" + good + ", dns_names: a.b}"), "spec.dns_names:"},
      {EntryYaml("{name: w}", "{" + good + ", admin: 'yes'}"), "spec.admin:"},
      {EntryYaml("{name: w}", "{" + good + ", spiffeID: x}"), "spec.spiffeID: unknown key"},
      {"apiVersion: v2\nkind: Entry\nmetadata: {name: w}\nspec: {" + good + "}\n",
       "e.yaml:1:13: Entry w: apiVersion: expected credence/v1"},
  };
  for (const auto& row : rows) {
    EXPECT_THAT(EntryMistakes(row.yaml), testing::Contains(HasSubstr(row.mistake))) << row.yaml;
  }
}

TEST(EntryResourcesTest, NamesAreUniqueAcrossFilesAndTheOrderIsTheirs) {
  const TemporaryFolder folder;
  const auto entry = [](const std::string& name) {
    return EntryYaml("{name: " + name + "}",
                     "{spiffe_id: spiffe://example.org/" + name + ", selectors: [unix:uid:1]}");
  };
  folder.Write("a.yaml", entry("web"));
  folder.Write("b.yaml", entry("db"));
  auto outcome = LoadEntryResources({folder.path()});
  ASSERT_EQ(outcome.entries.size(), 2U);
  EXPECT_EQ(outcome.entries[0].name, "db");
  EXPECT_EQ(outcome.entries[0].origin.file, folder / "b.yaml");
  EXPECT_GT(outcome.changed_at[folder / "b.yaml"], 1'700'000'000'000'000'000);
  folder.Write("c.yaml", "# c\n" + entry("web"));
  outcome = LoadEntryResources({folder.path()});
  ASSERT_EQ(outcome.mistakes.size(), 1U);
  EXPECT_EQ(outcome.mistakes[0].ToString(),
            (folder / "c.yaml") +
                ":4:18: Entry web: metadata.name: this name is taken by the one at " +
                (folder / "a.yaml") + ":1");
}

TEST(EntryResourcesTest, AFileThatCannotBeReadOrTrustedIsAMistake) {
  const TemporaryFolder folder;
  auto outcome = LoadEntryResources({folder / "none"});
  ASSERT_EQ(outcome.mistakes.size(), 1U);
  EXPECT_THAT(outcome.mistakes[0].ToString(), StartsWith((folder / "none") + ": open "));
  const std::string open = folder.Write("open.yaml", "# none\n");
  ASSERT_EQ(chmod(open.c_str(), 0666), 0);
  outcome = LoadEntryResources({folder.path()});
  ASSERT_EQ(outcome.mistakes.size(), 1U);
  EXPECT_THAT(outcome.mistakes[0].ToString(), StartsWith(open));
}

}  // namespace
}  // namespace credence
