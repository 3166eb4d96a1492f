#include "agent/authority/services/entry_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/authority/services/testing/entries.h"

namespace credence {
namespace {

using spire::api::types::Selector;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::int64_t kNow = 1000;
constexpr const char* kAgent = "spiffe://example.org/spire/agent/join_token/a";

std::vector<std::string> IdsOf(const std::vector<StoredEntry>& entries) {
  std::vector<std::string> ids;
  for (const StoredEntry& entry : entries) {
    ids.push_back(entry->id());
  }
  return ids;
}

std::vector<std::string> AuthorizedIds(const EntrySet& entries,
                                       const std::string& agent = kAgent,
                                       const std::vector<Selector>& node = {}) {
  return IdsOf(entries.AuthorizedFor(agent, node, kNow));
}

TEST(EntrySetTest, AnAgentMayServeItsChildrenAndTheirs) {
  EntrySet entries;
  entries.Put(EntryOf("child", "/web", "/spire/agent/join_token/a"));
  entries.Put(EntryOf("grandchild", "/web/sub", "/web"));
  entries.Put(EntryOf("other", "/db", "/spire/agent/join_token/b"));
  EXPECT_THAT(AuthorizedIds(entries), ElementsAre("child", "grandchild"));
  EXPECT_THAT(AuthorizedIds(entries, "spiffe://example.org/spire/agent/join_token/b"),
              ElementsAre("other"));
  EXPECT_THAT(AuthorizedIds(entries, "spiffe://example.org/spire/agent/join_token"), IsEmpty());
}

TEST(EntrySetTest, AnAliasCountsWhereItsSelectorsAreTheNodes) {
  EntrySet entries;
  entries.Put(EntryOf("alias", "/fleet", "/spire/server", {"x509pop:subject:cn:a"}));
  entries.Put(EntryOf("behind", "/web", "/fleet"));
  EXPECT_THAT(AuthorizedIds(entries), IsEmpty());
  Selector mine;
  mine.set_type("x509pop");
  mine.set_value("subject:cn:a");
  EXPECT_THAT(AuthorizedIds(entries, kAgent, {mine}), ElementsAre("alias", "behind"));
  EXPECT_NE(entries.FindAuthorized("behind", kAgent, {mine}, kNow), nullptr);
  EXPECT_EQ(entries.FindAuthorized("behind", kAgent, {}, kNow), nullptr);
}

TEST(EntrySetTest, ALoopOfParentsEnds) {
  EntrySet entries;
  entries.Put(EntryOf("a", "/a", "/b"));
  entries.Put(EntryOf("b", "/b", "/a"));
  EXPECT_THAT(AuthorizedIds(entries), IsEmpty());
  EXPECT_EQ(entries.FindAuthorized("a", kAgent, {}, kNow), nullptr);
  entries.Put(EntryOf("way-in", "/a", "/spire/agent/join_token/a"));
  EXPECT_THAT(AuthorizedIds(entries), ElementsAre("a", "b", "way-in"));
  EXPECT_NE(entries.FindAuthorized("b", kAgent, {}, kNow), nullptr);
}

TEST(EntrySetTest, WhatHasExpiredIsServedToNobodyAndNeitherIsWhatHangsOnIt) {
  EntrySet entries;
  auto parent = EntryOf("parent", "/web", "/spire/agent/join_token/a");
  auto expired = std::make_shared<spire::api::types::Entry>(*parent);
  expired->set_expires_at(kNow);
  entries.Put(expired);
  entries.Put(EntryOf("child", "/web/sub", "/web"));
  EXPECT_THAT(AuthorizedIds(entries), IsEmpty());
  EXPECT_EQ(entries.FindAuthorized("child", kAgent, {}, kNow), nullptr);
  EXPECT_NE(entries.FindAuthorized("child", kAgent, {}, kNow - 1), nullptr);
}

TEST(EntrySetTest, FindAuthorizedAgreesWithTheList) {
  EntrySet entries;
  entries.Put(EntryOf("1", "/a", "/spire/agent/join_token/a"));
  entries.Put(EntryOf("2", "/b", "/a"));
  entries.Put(EntryOf("3", "/c", "/nowhere"));
  entries.Put(EntryOf("4", "/d", "/b"));
  const auto listed = AuthorizedIds(entries);
  for (const auto& [id, entry] : entries.all()) {
    const bool in_list = std::find(listed.begin(), listed.end(), id) != listed.end();
    EXPECT_EQ(entries.FindAuthorized(id, kAgent, {}, kNow) != nullptr, in_list) << id;
  }
}

TEST(EntrySetTest, ReplacingAnEntryMovesIt) {
  EntrySet entries;
  entries.Put(EntryOf("x", "/web", "/spire/agent/join_token/a"));
  entries.Put(EntryOf("x", "/web", "/spire/agent/join_token/b"));
  EXPECT_THAT(AuthorizedIds(entries), IsEmpty());
  entries.Erase("x");
  entries.Erase("never there");
  EXPECT_THAT(entries.all(), IsEmpty());
}

TEST(EntrySetTest, ATwinHasTheSameIdParentAndSelectorsInAnyOrder) {
  EntrySet entries;
  entries.Put(EntryOf("x", "/web", "/n", {"unix:uid:1", "unix:gid:2"}));
  EXPECT_NE(entries.FindTwin(*EntryOf("y", "/web", "/n", {"unix:gid:2", "unix:uid:1"})), nullptr);
  EXPECT_EQ(entries.FindTwin(*EntryOf("y", "/web", "/n", {"unix:gid:2"})), nullptr);
  EXPECT_EQ(entries.FindTwin(*EntryOf("y", "/web", "/m", {"unix:gid:2", "unix:uid:1"})), nullptr);
  EXPECT_EQ(entries.FindTwin(*EntryOf("y", "/w", "/n", {"unix:gid:2", "unix:uid:1"})), nullptr);
}

TEST(EntrySetTest, AnAdminEntryCountsUntilItExpires) {
  EntrySet entries;
  auto admin = std::make_shared<spire::api::types::Entry>(*EntryOf("x", "/ops", "/n"));
  admin->set_admin(true);
  admin->set_expires_at(kNow);
  entries.Put(admin);
  entries.Put(EntryOf("y", "/web", "/n"));
  EXPECT_TRUE(entries.IsAdmin("spiffe://example.org/ops", kNow - 1));
  EXPECT_FALSE(entries.IsAdmin("spiffe://example.org/ops", kNow));
  EXPECT_FALSE(entries.IsAdmin("spiffe://example.org/web", kNow));
}

}  // namespace
}  // namespace credence
