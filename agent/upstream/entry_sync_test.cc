#include "agent/upstream/entry_sync.h"

#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/upstream/translate.h"
#include "base/core/testing/result_matchers.h"
#include "tests/testkit/fake_spire_server.h"

namespace credence {
namespace {

using spire::api::server::entry::v1::SyncAuthorizedEntriesResponse;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

spire::api::types::Entry Entry(int number, std::int64_t revision = 0) {
  auto entry = testkit::MakeEntry(number);
  entry.set_revision_number(revision);
  return entry;
}

SharedEntries Known(const std::vector<spire::api::types::Entry>& entries) {
  EntryMap map;
  for (const auto& entry : entries) {
    map.emplace(entry.id(), *EntryFromServer(entry));
  }
  return std::make_shared<const EntryMap>(std::move(map));
}

enum class More { kYes, kNo };

SyncAuthorizedEntriesResponse Full(const std::vector<spire::api::types::Entry>& entries,
                                   More more = More::kNo) {
  SyncAuthorizedEntriesResponse message;
  message.mutable_entries()->Add(entries.begin(), entries.end());
  message.set_more(more == More::kYes);
  return message;
}

SyncAuthorizedEntriesResponse Page(const std::vector<spire::api::types::Entry>& entries,
                                   More more = More::kNo) {
  SyncAuthorizedEntriesResponse message;
  for (const auto& entry : entries) {
    auto* revision = message.add_entry_revisions();
    revision->set_id(entry.id());
    revision->set_revision_number(entry.revision_number());
    revision->set_created_at(entry.created_at());
  }
  message.set_more(more == More::kYes);
  return message;
}

std::vector<std::string> IdsOf(const EntryMap& map) {
  std::vector<std::string> ids;
  for (const auto& [id, entry] : map) {
    ids.push_back(id);
  }
  return ids;
}

MATCHER(Finishes, "ends the sync") {
  return arg.ok() && std::holds_alternative<EntrySync::Done>(*arg);
}
MATCHER(ReadsOn, "reads the next message") {
  return arg.ok() && std::holds_alternative<EntrySync::ReadMore>(*arg);
}
MATCHER_P(AsksFor, inner, "asks for entries") {
  return arg.ok() && std::holds_alternative<EntrySync::Request>(*arg) &&
         testing::ExplainMatchResult(
             inner, std::get<EntrySync::Request>(*arg).ids, result_listener);
}

TEST(EntrySyncTest, FirstRequestHasAMaskAndNoIds) {
  const auto request = EntrySync::FirstRequest();
  EXPECT_TRUE(request.output_mask().revision_number());
  EXPECT_TRUE(request.output_mask().selectors());
  EXPECT_FALSE(request.output_mask().parent_id());
  EXPECT_THAT(request.ids(), IsEmpty());
}

TEST(EntrySyncTest, ShortListComesInFull) {
  EntrySync sync(Known({Entry(1), Entry(9)}));
  EXPECT_THAT(sync.Step(Full({Entry(1), Entry(2)})), Finishes());
  const auto result = sync.Take();
  EXPECT_THAT(IdsOf(*result.entries), ElementsAre("entry-00001", "entry-00002"));
  EXPECT_EQ(result.received, 2U);
  EXPECT_EQ(result.dropped, 1U);
}

TEST(EntrySyncTest, EmptyListIsAList) {
  EntrySync sync(Known({Entry(1)}));
  EXPECT_THAT(sync.Step(Full({})), Finishes());
  const auto result = sync.Take();
  EXPECT_TRUE(result.entries->empty());
  EXPECT_EQ(result.dropped, 1U);
}

TEST(EntrySyncTest, UnchangedListKeepsTheObject) {
  const auto known = Known({Entry(1), Entry(2)});
  EntrySync full(known);
  EXPECT_THAT(full.Step(Full({Entry(2), Entry(1)})), Finishes());
  EXPECT_EQ(full.Take().entries, known);
  EntrySync paged(known);
  EXPECT_THAT(paged.Step(Page({Entry(1), Entry(2)})), Finishes());
  EXPECT_EQ(paged.Take().entries, known);
}

TEST(EntrySyncTest, AsksForNewAndChangedEntriesInSortedPages) {
  EntrySync sync(Known({Entry(1, 1), Entry(2, 1), Entry(8, 1)}));
  EXPECT_THAT(sync.Step(Page({Entry(2, 1), Entry(5)}, More::kYes)), ReadsOn());
  EXPECT_THAT(sync.Step(Page({Entry(4), Entry(1, 2), Entry(3)})),
              AsksFor(ElementsAre("entry-00001", "entry-00003")));
  EXPECT_THAT(sync.Step(Full({Entry(3)}, More::kYes)), ReadsOn());
  EXPECT_THAT(sync.Step(Full({Entry(1, 2)})), AsksFor(ElementsAre("entry-00004", "entry-00005")));
  // An entry that was deleted meanwhile is left out without notice.
  EXPECT_THAT(sync.Step(Full({Entry(5)})), Finishes());
  const auto result = sync.Take();
  EXPECT_THAT(IdsOf(*result.entries),
              ElementsAre("entry-00001", "entry-00002", "entry-00003", "entry-00005"));
  EXPECT_EQ(result.entries->at("entry-00001").revision, 2);
  EXPECT_EQ(result.received, 3U);
  EXPECT_EQ(result.dropped, 1U);
}

TEST(EntrySyncTest, RecreatedEntryOfTheSameRevisionIsFetched) {
  auto recreated = Entry(1);
  recreated.set_created_at(1);
  EntrySync sync(Known({Entry(1)}));
  EXPECT_THAT(sync.Step(Page({recreated})), AsksFor(ElementsAre("entry-00001")));
}

TEST(EntrySyncTest, OldServerWithoutCreationTimesCausesNoFetch) {
  auto untold = Entry(1);
  untold.set_created_at(0);
  EntrySync sync(Known({Entry(1)}));
  EXPECT_THAT(sync.Step(Page({untold})), Finishes());
}

TEST(EntrySyncTest, RevisionsWithoutIdOrBelowZeroAreSkipped) {
  auto nameless = Entry(1);
  nameless.clear_id();
  EntrySync sync(Known({}));
  EXPECT_THAT(sync.Step(Page({nameless, Entry(2, -1)})), Finishes());
  EXPECT_TRUE(sync.Take().entries->empty());
}

TEST(EntrySyncTest, BadEntryIsLeftOutWithAWarning) {
  auto bad = Entry(1);
  bad.clear_selectors();
  EntrySync sync(Known({}));
  EXPECT_THAT(sync.Step(Full({bad, Entry(2)})), Finishes());
  const auto result = sync.Take();
  EXPECT_THAT(IdsOf(*result.entries), ElementsAre("entry-00002"));
  EXPECT_THAT(result.warnings, ElementsAre("entry entry-00001: no selectors"));
}

struct ProtocolCase {
  std::string name;
  std::vector<SyncAuthorizedEntriesResponse> messages;
};

class EntrySyncProtocolTest : public testing::TestWithParam<ProtocolCase> {};

TEST_P(EntrySyncProtocolTest, LastMessageIsRefused) {
  EntrySync sync(Known({}));
  const auto& messages = GetParam().messages;
  for (std::size_t index = 0; index + 1 < messages.size(); ++index) {
    ASSERT_THAT(sync.Step(messages[index]), IsOk());
  }
  EXPECT_THAT(sync.Step(messages.back()),
              FailsWith(Code::kInternal, HasSubstr("SyncAuthorizedEntries")));
}

SyncAuthorizedEntriesResponse Both() {
  auto message = Page({Entry(1)});
  *message.add_entries() = Entry(1);
  return message;
}

INSTANTIATE_TEST_SUITE_P(
    Mistakes,
    EntrySyncProtocolTest,
    testing::Values(ProtocolCase{"BothKindsInOne", {Both()}},
                    ProtocolCase{"FullListInParts", {Full({Entry(1)}, More::kYes)}},
                    ProtocolCase{"EntriesAmongRevisions",
                                 {Page({Entry(1)}, More::kYes), Full({Entry(1)})}},
                    ProtocolCase{"RevisionsAmongEntries", {Page({Entry(1)}), Page({Entry(1)})}},
                    ProtocolCase{"MessageAfterTheEnd", {Full({Entry(1)}), Full({Entry(1)})}}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace credence
