#include "agent/identity/entry_index.h"

#include <algorithm>
#include <iterator>

#include <gmock/gmock.h>

namespace credence {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

SelectorSet Selectors(std::vector<std::string> texts) {
  std::vector<Selector> selectors;
  for (const std::string& text : texts) {
    selectors.push_back(Selector::Parse(text).value());
  }
  return SelectorSet(std::move(selectors));
}

RegistrationEntry StoredEntry(std::string id, std::vector<std::string> selectors) {
  return RegistrationEntry{.id = id,
                           .spiffe_id = SpiffeId::Parse("spiffe://example.org/" + id).value(),
                           .selectors = Selectors(std::move(selectors))};
}

EntryIndex Index(std::vector<RegistrationEntry> entries) {
  EntryMap map;
  for (RegistrationEntry& entry : entries) {
    const std::string id = entry.id;
    map.emplace(id, std::move(entry));
  }
  return EntryIndex(std::make_shared<const EntryMap>(std::move(map)));
}

std::vector<std::string> Ids(const std::vector<SharedEntry>& entries) {
  std::vector<std::string> ids;
  for (const SharedEntry& entry : entries) {
    ids.push_back(entry->id);
  }
  return ids;
}

TEST(EntryIndexTest, MatchesEntriesWhoseSelectorsAreASubset) {
  const EntryIndex index = Index({StoredEntry("a", {"unix:uid:1"}),
                                  StoredEntry("b", {"unix:uid:1", "unix:gid:2"}),
                                  StoredEntry("c", {"unix:uid:1", "unix:gid:3"})});
  EXPECT_THAT(Ids(index.Match(Selectors({"unix:uid:1", "unix:gid:2", "unix:user:x"}))),
              ElementsAre("a", "b"));
  EXPECT_THAT(Ids(index.Match(Selectors({"unix:gid:2"}))), IsEmpty());
  EXPECT_THAT(Ids(index.Match(SelectorSet())), IsEmpty());
}

TEST(EntryIndexTest, WA_51_IdentitiesAreOrderedByEntryId) {
  const EntryIndex index = Index({StoredEntry("z", {"unix:uid:1"}),
                                  StoredEntry("m", {"unix:gid:2"}),
                                  StoredEntry("b", {"unix:uid:1"})});
  EXPECT_THAT(Ids(index.Match(Selectors({"unix:uid:1", "unix:gid:2"}))),
              ElementsAre("b", "m", "z"));
}

TEST(EntryIndexTest, WA_22_OfOneHintTheOldestEntryStays) {
  RegistrationEntry young = StoredEntry("a", {"unix:uid:1"});
  young.hint = "internal";
  young.created_at = 200;
  RegistrationEntry old = StoredEntry("b", {"unix:uid:1"});
  old.hint = "internal";
  old.created_at = 100;
  RegistrationEntry twin = StoredEntry("c", {"unix:uid:1"});
  twin.hint = "internal";
  twin.created_at = 100;
  const EntryIndex index =
      Index({young, old, twin, StoredEntry("d", {"unix:uid:1"}), StoredEntry("e", {"unix:uid:1"})});
  const std::vector<SharedEntry> all = index.Match(Selectors({"unix:uid:1"}));
  std::vector<SharedEntry> listed;
  std::copy_if(all.begin(), all.end(), std::back_inserter(listed), [&](const SharedEntry& entry) {
    return !HasOlderTwin(entry, all);
  });
  EXPECT_THAT(Ids(listed), ElementsAre("b", "d", "e"));
}

TEST(EntryIndexTest, EntriesForSvidStoresAreNotServed) {
  RegistrationEntry stored = StoredEntry("a", {"unix:uid:1"});
  stored.store_svid = true;
  const EntryIndex index = Index({stored});
  EXPECT_THAT(Ids(index.Match(Selectors({"unix:uid:1"}))), IsEmpty());
}

}  // namespace
}  // namespace credence
