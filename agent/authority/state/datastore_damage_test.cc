#include <sys/stat.h>

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "agent/authority/state/database.h"
#include "agent/authority/state/testing/datastore_fixture.h"
#include "base/core/file.h"
#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::AllOf;
using testing::HasSubstr;

namespace fs = std::filesystem;

class DatastoreDamageTest : public DatastoreTest {
 protected:
  /// A database of about ten pages, closed.
  DatastoreDamageTest() {
    std::vector<Change> changes;
    for (int i = 0; i < 60; ++i) {
      changes.push_back({Table::kEntries, fmt::format("entry-{}", i), std::string(400, 'v')});
    }
    changes.push_back({Table::kAgents, "agent", std::string(8'000, 'o')});
    changes.push_back({Table::kFacts, "trust_domain", "example.org"});
    Store(changes);
    content_ = ReadFile(DatabasePath(), std::size_t{10} << 20).value();
  }

  /// Puts `content` in the place of the database.
  void Replace(const std::string& content) const {
    fs::remove(DatabasePath() + "-wal");
    fs::remove(DatabasePath() + "-journal");
    WriteTo(DatabasePath(), content);
  }

  void RunSql(const std::string& sql) const {
    ASSERT_THAT(Database::Open(DatabasePath()).value().Run(sql), IsOk());
  }

  std::string content_;
};

/// Matches what the operator is told.
auto SaysRestore(const std::string& path) {
  return FailsWith(Code::kDataLoss, AllOf(HasSubstr(path), HasSubstr("restore")));
}

TEST_F(DatastoreDamageTest, AFileThatIsCutShortIsRefusedAndKept) {
  for (const std::size_t size : {std::size_t{0},
                                 std::size_t{15},
                                 std::size_t{99},
                                 std::size_t{100},
                                 std::size_t{4096},
                                 content_.size() / 2,
                                 content_.size() - 4096}) {
    Replace(content_.substr(0, size));
    EXPECT_THAT(Open(), SaysRestore(DatabasePath())) << size;
    EXPECT_EQ(ReadFile(DatabasePath(), content_.size()).value(), content_.substr(0, size));
  }
  Replace(content_);
  EXPECT_THAT(Open(), IsOk());
}

TEST_F(DatastoreDamageTest, AFileThatIsNoDatabaseIsRefusedAndKept) {
  for (const std::string& content : {std::string("trust_domain = example.org\n"),
                                     std::string(content_.size(), '\0'),
                                     std::string(content_.size(), 'x')}) {
    Replace(content);
    EXPECT_THAT(Open(), SaysRestore(DatabasePath()));
    EXPECT_EQ(ReadFile(DatabasePath(), content_.size()).value(), content);
  }
  fs::remove(DatabasePath());
  fs::create_directory(DatabasePath());
  EXPECT_THAT(Open(), FailsWith(Code::kInvalidArgument, HasSubstr(DatabasePath())));
  fs::remove(DatabasePath());
  fs::create_symlink("/nowhere", DatabasePath());
  EXPECT_FALSE(Open().ok());
  EXPECT_FALSE(fs::exists("/nowhere"));
}

/// Whatever byte is wrong: an error that says so, or the rows as they were.
TEST_F(DatastoreDamageTest, AWrongByteNeverChangesARow) {
  constexpr std::size_t kHeaderBytes = 100;
  constexpr std::size_t kStep = 97;
  std::vector<std::map<std::string, std::string>> before;
  {
    const auto store = Open().value();
    for (const Table table : {Table::kEntries, Table::kAgents, Table::kFacts}) {
      before.push_back(RowsOf(*store, table));
    }
  }
  int refused = 0;
  int tried = 0;
  for (std::size_t at = 0; at < content_.size(); at += at < kHeaderBytes ? 1 : kStep) {
    ++tried;
    std::string damaged = content_;
    damaged[at] = static_cast<char>(damaged[at] ^ (at % 2 == 0 ? 0x01 : 0x5a));
    Replace(damaged);
    const auto store = Open();
    if (!store.ok()) {
      ++refused;
      EXPECT_THAT(store, SaysRestore(DatabasePath())) << at;
      continue;
    }
    std::size_t index = 0;
    for (const Table table : {Table::kEntries, Table::kAgents, Table::kFacts}) {
      const auto rows = store.value()->Load(table);
      if (!rows.ok()) {
        ++refused;
        EXPECT_THAT(rows, SaysRestore(DatabasePath())) << at;
        break;
      }
      EXPECT_EQ(RowsOf(*store.value(), table), before[index]) << at;
      ++index;
    }
  }
  EXPECT_GT(refused, tried / 2) << tried;
}

TEST_F(DatastoreDamageTest, AnotherFormatIsRefusedAndKept) {
  for (const int version : {2, 1000, 0, -1}) {
    RunSql(fmt::format("PRAGMA user_version={}", version));
    EXPECT_THAT(Open(), SaysRestore(DatabasePath())) << version;
    EXPECT_THAT(Open(), FailsWith(Code::kDataLoss, HasSubstr(fmt::format("format {},", version))));
  }
  RunSql("PRAGMA user_version=1");
  EXPECT_THAT(Open(), IsOk());
}

TEST_F(DatastoreDamageTest, TheDatabaseOfAnotherProgramIsRefusedAndKept) {
  RunSql("PRAGMA journal_mode=DELETE; PRAGMA application_id=7");
  const std::string foreign = ReadFile(DatabasePath(), content_.size()).value();
  EXPECT_THAT(Open(), SaysRestore(DatabasePath()));
  EXPECT_EQ(ReadFile(DatabasePath(), content_.size()).value(), foreign);
}

TEST_F(DatastoreDamageTest, ADatabaseWithoutOneOfItsTablesIsRefused) {
  RunSql("DROP TABLE join_tokens");
  EXPECT_THAT(Open(), SaysRestore(DatabasePath()));
}

TEST_F(DatastoreDamageTest, ARowThatWasNotWrittenByUsIsRefused) {
  RunSql("UPDATE facts SET value = x'00'");
  const auto store = Open().value();
  EXPECT_THAT(store->Load(Table::kFacts), SaysRestore(DatabasePath()));
  EXPECT_THAT(store->Load(Table::kEntries), IsOk());
}

TEST_F(DatastoreDamageTest, ADatabaseThatIsMissingIsNotMadeAnew) {
  fs::remove(DatabasePath());
  EXPECT_THAT(Open(), SaysRestore(DatabasePath()));
  EXPECT_FALSE(fs::exists(DatabasePath()));
  // Nor when the lock file went with it, and something else is left.
  for (const char* left : {"authority.db-wal", "authority.db-journal", "key.pem", "keys/key.pem"}) {
    fs::remove_all(folder_);
    fs::create_directories(fs::path(Path(left)).parent_path());
    WriteTo(Path(left), "");
    EXPECT_THAT(Open(), SaysRestore(DatabasePath())) << left;
    EXPECT_THAT(Open(), SaysRestore(DatabasePath())) << left;
    EXPECT_FALSE(fs::exists(DatabasePath())) << left;
  }
  fs::remove_all(folder_);
  EXPECT_THAT(Open(), IsOk());
}

TEST_F(DatastoreDamageTest, ARestoredDatabaseIsOpened) {
  fs::remove_all(folder_);
  fs::create_directory(folder_);
  Replace(content_);
  EXPECT_EQ(RowsOf(*Open().value(), Table::kEntries).size(), 60U);
  fs::remove(DatabasePath());
  EXPECT_THAT(Open(), SaysRestore(DatabasePath()));
}

TEST_F(DatastoreDamageTest, WhatACrashDuringTheFirstOpenLeavesIsNoDatabase) {
  const std::vector<std::vector<std::pair<std::string, std::string>>> left = {
      {{"authority.lock", ""}},
      {{"authority.lock", "      4242\n"}},
      {{"authority.lock", "      4242\n"}, {"authority.db.new", ""}},
      {{"authority.lock", "      4242\n"},
       {"authority.db.new", content_.substr(0, 5000)},
       {"authority.db.new-journal", "half a journal"}},
  };
  for (const auto& files : left) {
    fs::remove_all(folder_);
    fs::create_directories(Path("keys"));
    for (const auto& [name, content] : files) {
      WriteTo(Path(name), content);
    }
    const auto store = Open();
    ASSERT_THAT(store, IsOk());
    EXPECT_TRUE(RowsOf(*store.value(), Table::kEntries).empty());
    EXPECT_FALSE(fs::exists(Path("authority.db.new")));
    EXPECT_FALSE(fs::exists(Path("authority.db.new-journal")));
  }
}

TEST_F(DatastoreDamageTest, ALogOfNoMeaningIsNoObstacle) {
  // As a crash leaves it before its first frame is whole.
  WriteTo(DatabasePath() + "-wal", "not a log");
  ASSERT_EQ(chmod((DatabasePath() + "-wal").c_str(), 0644), 0);
  const auto store = Open().value();
  EXPECT_EQ(RowsOf(*store, Table::kEntries).size(), 60U);
  ASSERT_THAT(store->Apply({{Table::kFacts, "a", "b"}}), IsOk());
  EXPECT_EQ(ModeOf(DatabasePath() + "-wal"), 0600U);
}

}  // namespace
}  // namespace credence
