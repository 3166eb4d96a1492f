#pragma once

#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "agent/authority/state/datastore.h"
#include "base/core/check.h"

namespace credence {

/// The rows of a table by key; whatever fails ends the test program, also in a child.
inline std::map<std::string, std::string> RowsOf(Datastore& store, Table table) {
  std::map<std::string, std::string> rows;
  auto loaded = store.Load(table);
  for (Row& row : loaded.value()) {
    rows[std::move(row.key)] = std::move(row.value);
  }
  return rows;
}

/// A folder for a datastore, which is not there yet.
class DatastoreTest : public testing::Test {
 public:
  ~DatastoreTest() override { std::filesystem::remove_all(root_); }

 protected:
  DatastoreTest() {
    std::string pattern = testing::TempDir() + "datastore_test.XXXXXX";
    CREDENCE_CHECK(mkdtemp(pattern.data()) != nullptr);
    root_ = pattern;
    folder_ = root_ / "data";
  }
  Result<std::unique_ptr<Datastore>> Open() const { return Datastore::Open(folder_); }
  std::string Path(const std::string& name) const { return folder_ / name; }
  std::string DatabasePath() const { return Path("authority.db"); }

  /// Opens, applies and closes.
  void Store(const std::vector<Change>& changes) const {
    const auto store = Open().value();
    const auto applied = store->Apply(changes);
    ASSERT_TRUE(applied.ok()) << applied.error();
  }

  static mode_t ModeOf(const std::string& path) {
    struct stat info{};
    return stat(path.c_str(), &info) == 0 ? info.st_mode & 07777U : 0;
  }
  static void WriteTo(const std::string& path, const std::string& content) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << content;
    file.close();
    CREDENCE_CHECK(file.good());
  }

  std::filesystem::path root_;
  std::filesystem::path folder_;
};

}  // namespace credence
