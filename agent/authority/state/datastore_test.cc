#include "agent/authority/state/datastore.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "agent/authority/state/testing/datastore_fixture.h"
#include "base/core/testing/file_size_limit.h"
#include "base/core/testing/result_matchers.h"
#include "base/process/testing/child_process.h"

namespace credence {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

TEST_F(DatastoreTest, ReadsBackWhatWasAppliedAlsoWhenOpenedAgain) {
  const std::string bytes("\0\xff\n'; --", 8);
  {
    const auto store = Open().value();
    ASSERT_THAT(store->Apply({{Table::kEntries, "b", bytes},
                              {Table::kEntries, "a", ""},
                              {Table::kEntries, std::string("a\0x", 3), "zero in the key"},
                              {Table::kFacts, "trust_domain", "example.org"}}),
                IsOk());
    EXPECT_THAT(
        RowsOf(*store, Table::kEntries),
        ElementsAre(
            Pair("a", ""), Pair(std::string("a\0x", 3), "zero in the key"), Pair("b", bytes)));
  }
  const auto store = Open().value();
  EXPECT_EQ(RowsOf(*store, Table::kEntries).size(), 3U);
  EXPECT_THAT(RowsOf(*store, Table::kFacts), ElementsAre(Pair("trust_domain", "example.org")));
}

TEST_F(DatastoreTest, EachTableIsItsOwn) {
  const auto store = Open().value();
  const std::vector<Table> tables = {Table::kEntries,
                                     Table::kAgents,
                                     Table::kJoinTokens,
                                     Table::kSigningKeys,
                                     Table::kFederation,
                                     Table::kFacts};
  for (const Table table : tables) {
    EXPECT_THAT(RowsOf(*store, table), IsEmpty());
    ASSERT_THAT(store->Apply({{table, "key", std::to_string(static_cast<int>(table))}}), IsOk());
  }
  for (const Table table : tables) {
    EXPECT_THAT(RowsOf(*store, table),
                ElementsAre(Pair("key", std::to_string(static_cast<int>(table)))));
  }
}

TEST_F(DatastoreTest, ChangesAreAppliedOneAfterTheOther) {
  const auto store = Open().value();
  ASSERT_THAT(store->Apply({{Table::kAgents, "kept", "1"},
                            {Table::kAgents, "gone", "1"},
                            {Table::kAgents, "kept", "2"},
                            {Table::kAgents, "gone", std::nullopt},
                            {Table::kAgents, "never there", std::nullopt}}),
              IsOk());
  EXPECT_THAT(RowsOf(*store, Table::kAgents), ElementsAre(Pair("kept", "2")));
  EXPECT_THAT(store->Apply({}), IsOk());
}

TEST_F(DatastoreTest, RowsComeByKey) {
  const auto store = Open().value();
  std::vector<Change> changes;
  for (int i = 0; i < 10'000; ++i) {
    changes.push_back({Table::kEntries, fmt::format("{:05}", i * 7919 % 10'000), "value"});
  }
  ASSERT_THAT(store->Apply(changes), IsOk());
  const auto rows = store->Load(Table::kEntries).value();
  EXPECT_EQ(rows.size(), 10'000U);
  EXPECT_TRUE(
      std::ranges::is_sorted(rows, [](const Row& a, const Row& b) { return a.key < b.key; }));
}

TEST_F(DatastoreTest, ARowOf4MiBIsTheLargest) {
  const auto store = Open().value();
  const std::string largest(std::size_t{4} << 20, 'v');
  ASSERT_THAT(store->Apply({{Table::kEntries, "key", largest}}), IsOk());
  EXPECT_THAT(
      store->Apply({{Table::kFacts, "before", "x"}, {Table::kEntries, "other", largest + 'v'}}),
      FailsWith(Code::kInvalidArgument, HasSubstr("entries")));
  EXPECT_THAT(store->Apply({{Table::kEntries, largest + 'k', "x"}}),
              FailsWithCode(Code::kInvalidArgument));
  EXPECT_THAT(RowsOf(*store, Table::kFacts), IsEmpty());
  EXPECT_THAT(RowsOf(*store, Table::kEntries), ElementsAre(Pair("key", largest)));
}

TEST_F(DatastoreTest, FilesAreTheOwnersAloneWhateverTheUmask) {
  for (const mode_t mask : {0000U, 0777U}) {
    const mode_t before = umask(mask);
    const auto store = Open();
    const auto applied = store.value()->Apply({{Table::kFacts, "a", "b"}});
    umask(before);
    ASSERT_THAT(applied, IsOk());
    EXPECT_EQ(ModeOf(folder_), 0700U);
    EXPECT_EQ(ModeOf(DatabasePath()), 0600U);
    EXPECT_EQ(ModeOf(DatabasePath() + "-wal"), 0600U);
    EXPECT_EQ(ModeOf(Path("authority.lock")), 0600U);
    EXPECT_FALSE(std::filesystem::exists(DatabasePath() + "-shm"));
    std::filesystem::remove_all(folder_);
  }
}

TEST_F(DatastoreTest, RestoredFilesAreClosedToOthers) {
  Store({{Table::kFacts, "a", "b"}});
  ASSERT_EQ(chmod(DatabasePath().c_str(), 0644), 0);
  ASSERT_EQ(chmod(Path("authority.lock").c_str(), 0666), 0);
  Store({{Table::kFacts, "a", "c"}});
  EXPECT_EQ(ModeOf(DatabasePath()), 0600U);
  EXPECT_EQ(ModeOf(Path("authority.lock")), 0600U);
}

TEST_F(DatastoreTest, AFolderThatOthersCanWriteIsRefused) {
  ASSERT_TRUE(std::filesystem::create_directory(folder_));
  ASSERT_EQ(chmod(folder_.c_str(), 0777), 0);
  EXPECT_THAT(Open(), FailsWith(Code::kPermissionDenied, HasSubstr(folder_.string())));
  // Others cannot remove what is in it, but they can add an authority.db-wal.
  ASSERT_EQ(chmod(folder_.c_str(), 01777), 0);
  EXPECT_THAT(Open(), FailsWithCode(Code::kPermissionDenied));
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
  ASSERT_EQ(chmod(folder_.c_str(), 0755), 0);
  EXPECT_THAT(Open(), IsOk());
}

TEST_F(DatastoreTest, AFileIsNoFolder) {
  WriteTo(folder_, "");
  EXPECT_THAT(Open(), FailsWith(Code::kInvalidArgument, HasSubstr(folder_.string())));
  EXPECT_THAT(Datastore::Open(""), FailsWithCode(Code::kInvalidArgument));
}

TEST_F(DatastoreTest, TheNameOfTheFolderIsNoMoreThanAName) {
  for (const char* name : {"file:data?mode=memory", ":memory:", "data/", "a%20b"}) {
    const std::string folder = root_ / name;
    ASSERT_THAT(Datastore::Open(folder).value()->Apply({{Table::kFacts, "name", name}}), IsOk());
    EXPECT_TRUE(std::filesystem::exists(std::filesystem::path(folder) / "authority.db")) << folder;
    EXPECT_THAT(RowsOf(*Datastore::Open(folder).value(), Table::kFacts),
                ElementsAre(Pair("name", name)));
  }
}

TEST_F(DatastoreTest, OneProcessHasTheFolder) {
  const Gate opened;
  ChildProcess other([&] {
    const auto store = Open();
    opened.Open();
    return store.ok() ? pause() : 1;
  });
  opened.Await();
  EXPECT_THAT(
      Open(),
      FailsWith(Code::kAlreadyExists,
                AllOf(HasSubstr(folder_.string()), HasSubstr(fmt::format("({})", other.pid())))));
  other.Kill();
  other.Reap();
  const auto store = Open();
  ASSERT_THAT(store, IsOk());
  EXPECT_THAT(Open(), FailsWith(Code::kAlreadyExists, HasSubstr(fmt::format("({})", getpid()))));
  EXPECT_THAT(store.value()->Apply({{Table::kFacts, "a", "b"}}), IsOk());
}

TEST_F(DatastoreTest, TheDatabaseIsLockedWithoutTheLockFileToo) {
  const Gate opened;
  ChildProcess other([&] {
    const auto store = Open();
    opened.Open();
    return store.ok() ? pause() : 1;
  });
  opened.Await();
  ASSERT_TRUE(std::filesystem::remove(Path("authority.lock")));
  EXPECT_THAT(Open(), FailsWith(Code::kAlreadyExists, HasSubstr(DatabasePath())));
}

/// 3 MiB: more than the cache, so it is written while it is applied.
std::vector<Change> LargeChange(const std::string& value) {
  std::vector<Change> changes;
  for (int i = 0; i < 1000; ++i) {
    changes.push_back({Table::kEntries, fmt::format("{}", i), value + std::string(3000, 'x')});
  }
  return changes;
}

TEST_F(DatastoreTest, AFullDiskTakesNothingOfAChange) {
  const auto store = Open().value();
  ASSERT_THAT(store->Apply(LargeChange("old")), IsOk());
  const auto before = RowsOf(*store, Table::kEntries);
  // Up to where the log is cut after a large change; it is written from its start again.
  for (rlim_t limit = 4096; limit <= rlim_t{3} << 20; limit = limit * 3 / 2) {
    Result<void> applied;
    Result<void> small;
    {
      const FileSizeLimit full(limit);
      applied = store->Apply(LargeChange("new"));
      small = store->Apply({{Table::kFacts, "small", "x"}});
    }
    ASSERT_THAT(applied, FailsWith(Code::kResourceExhausted, HasSubstr(DatabasePath()))) << limit;
    EXPECT_EQ(RowsOf(*store, Table::kEntries), before) << limit;
    EXPECT_EQ(RowsOf(*store, Table::kFacts).contains("small"), small.ok()) << limit;
    ASSERT_THAT(store->Apply({{Table::kFacts, "small", std::nullopt}}), IsOk()) << limit;
  }
  ASSERT_THAT(store->Apply(LargeChange("newer")), IsOk());
  EXPECT_TRUE(RowsOf(*store, Table::kEntries).at("999").starts_with("newer"));
}

TEST_F(DatastoreTest, WhatAFullDiskRefusedIsNotThereAfterARestart) {
  ASSERT_NO_FATAL_FAILURE(Store(LargeChange("old")));
  {
    const auto store = Open().value();
    const FileSizeLimit full(rlim_t{2} << 20);
    EXPECT_THAT(store->Apply(LargeChange("new")), FailsWithCode(Code::kResourceExhausted));
  }
  const auto rows = RowsOf(*Open().value(), Table::kEntries);
  EXPECT_EQ(rows.size(), 1000U);
  EXPECT_TRUE(
      std::ranges::all_of(rows, [](const auto& row) { return row.second.starts_with("old"); }));
}

TEST_F(DatastoreTest, AFullDiskNeverLeavesHalfADatabase) {
  int failed = 0;
  for (rlim_t limit = 0; limit <= 40'000; limit += 2000) {
    std::filesystem::remove_all(folder_);
    Result<std::unique_ptr<Datastore>> opened;
    {
      const FileSizeLimit full(limit);
      opened = Open();
    }
    if (opened.ok()) {
      continue;
    }
    ++failed;
    EXPECT_THAT(opened, FailsWith(Code::kResourceExhausted, HasSubstr(folder_.string()))) << limit;
    EXPECT_FALSE(std::filesystem::exists(DatabasePath())) << limit;
    EXPECT_THAT(Open(), IsOk()) << limit;
  }
  EXPECT_GT(failed, 10);
  EXPECT_LT(failed, 20);
}

}  // namespace
}  // namespace credence
