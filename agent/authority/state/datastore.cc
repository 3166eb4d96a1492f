#include "agent/authority/state/datastore.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <stdio.h>
#include <zlib.h>

#include "agent/authority/state/data_folder.h"
#include "agent/authority/state/database.h"
#include "base/core/check.h"
#include "base/core/file.h"
#include "base/core/unique_fd.h"

namespace credence {
namespace {

constexpr std::string_view kName = "authority.db";
/// A database that is being made.
constexpr std::string_view kNewName = "authority.db.new";
constexpr mode_t kFileMode = 0600;
constexpr std::size_t kMaxBytes = std::size_t{4} << 20;
/// "Crdn". Tells ours from other programs' databases.
constexpr std::uint32_t kApplicationId = 0x4372646e;
constexpr int kVersion = 1;

/// In the order of Table.
constexpr std::array<std::string_view, 6> kTableNames = {
    "entries", "agents", "join_tokens", "signing_keys", "federation", "facts"};

std::size_t IndexOf(Table table) {
  const auto index = static_cast<std::size_t>(table);
  CREDENCE_CHECK(index < kTableNames.size());
  return index;
}

std::string_view NameOf(Table table) {
  return kTableNames[IndexOf(table)];
}

Error Failure(std::string_view what, const std::string& path) {
  const int error_number = errno;
  return Error(CodeFromErrno(error_number),
               fmt::format("{} {}: {}", what, path, ErrnoText(error_number)));
}

/// SQLite checks its own pages, not what is in them.
std::int64_t Checksum(std::string_view key, std::string_view value) {
  uLong sum = crc32_z(0, nullptr, 0);
  for (const std::string_view part : {key, std::string_view("\0", 1), value}) {
    sum = crc32_z(sum, reinterpret_cast<const Bytef*>(part.data()), part.size());
  }
  return static_cast<std::int64_t>(sum);
}

/// Puts an empty database at its place, in one step.
Result<void> CreateDatabase(const DataFolder& folder) {
  const std::string path = folder.PathOf(kNewName);
  for (const std::string& old : {path, path + "-journal", path + "-wal"}) {
    if (unlink(old.c_str()) != 0 && errno != ENOENT) {
      return Failure("remove", old);
    }
  }
  {
    const UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, kFileMode));
    // SQLite gives its other files the mode of this one.
    if (!fd.valid() || fchmod(fd.get(), kFileMode) != 0) {
      return Failure("create", path);
    }
  }
  {
    auto database = Database::Open(path);
    if (!database.ok()) {
      return std::move(database).error();
    }
    // Without a journal: what is cut short here is thrown away.
    std::string sql = "PRAGMA journal_mode=OFF;BEGIN;";
    for (const std::string_view table : kTableNames) {
      sql += fmt::format(
          "CREATE TABLE {} (key TEXT PRIMARY KEY, value BLOB NOT NULL, checksum INTEGER NOT NULL) "
          "STRICT, WITHOUT ROWID;",
          table);
    }
    sql += fmt::format(
        "PRAGMA application_id={};PRAGMA user_version={};COMMIT;PRAGMA journal_mode=WAL",
        kApplicationId,
        kVersion);
    if (auto made = database->Run(sql); !made.ok()) {
      return made;
    }
  }
  if (rename(path.c_str(), folder.PathOf(kName).c_str()) != 0) {
    return Failure("rename", path);
  }
  return folder.Sync();
}

/// Looks at the first bytes before SQLite does, which takes an empty file for a new database and
/// writes to other programs' ones. Source: SQLite "Database File Format", section 1.3.
Result<void> CheckHeader(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat info{};
  if (!fd.valid() || fstat(fd.get(), &info) != 0) {
    return Failure("open", path);
  }
  if (!S_ISREG(info.st_mode)) {
    return Error(Code::kInvalidArgument, fmt::format("{} is not a regular file", path));
  }
  std::array<unsigned char, 100> header{};
  const ssize_t count = pread(fd.get(), header.data(), header.size(), 0);
  if (count < 0) {
    return Failure("read", path);
  }
  constexpr std::string_view kMagic("SQLite format 3\0", 16);
  const bool versions_known = header[18] >= 1 && header[18] <= 2 && header[19] == header[18];
  if (static_cast<std::size_t>(count) < header.size() || !versions_known ||
      !std::equal(kMagic.begin(), kMagic.end(), header.begin())) {
    return DamagedFile(path, "not an SQLite database");
  }
  const std::uint32_t application = std::uint32_t{header[68]} << 24 |
                                    std::uint32_t{header[69]} << 16 |
                                    std::uint32_t{header[70]} << 8 | std::uint32_t{header[71]};
  if (application != kApplicationId) {
    return DamagedFile(path, "not the database of an authority");
  }
  if ((info.st_mode & 07777U) != kFileMode && fchmod(fd.get(), kFileMode) != 0) {
    return Failure("set the mode of", path);
  }
  return Ok();
}

/// What has been restored or copied beside the database.
Result<void> CloseToOthers(const std::string& path) {
  return chmod(path.c_str(), kFileMode) == 0 || errno == ENOENT
             ? Ok()
             : Result<void>(Failure("set the mode of", path));
}

Result<void> CheckContent(Database& database, const std::string& path) {
  const auto version = database.Ask("PRAGMA user_version");
  if (!version.ok()) {
    return version.error();
  }
  if (*version != std::to_string(kVersion)) {
    return Error(
        Code::kDataLoss,
        fmt::format("{} has format {}, this version of credence knows {} only: run the one "
                    "that wrote it, or restore the file from a backup",
                    path,
                    *version,
                    kVersion));
  }
  const auto checked = database.Ask("PRAGMA quick_check(1)");
  if (!checked.ok()) {
    return checked.error();
  }
  if (*checked != "ok") {
    return DamagedFile(path, fmt::format("damaged: {}", *checked));
  }
  const auto mode = database.Ask("PRAGMA journal_mode=WAL");
  if (!mode.ok()) {
    return mode.error();
  }
  return *mode == "wal" ? Ok() : Result<void>(Error(Code::kUnavailable, path + ": no WAL mode"));
}

class SqliteDatastore final : public Datastore {
 public:
  static Result<std::unique_ptr<Datastore>> Open(DataFolder folder) {
    const std::string path = folder.PathOf(kName);
    auto database = Database::Open(path);
    if (!database.ok()) {
      return std::move(database).error();
    }
    if (auto checked = CheckContent(*database, path); !checked.ok()) {
      return std::move(checked).error();
    }
    std::vector<Writers> writers;
    for (const std::string_view table : kTableNames) {
      auto put = database->Prepare(fmt::format(
          "INSERT OR REPLACE INTO {} (key, value, checksum) VALUES (?1, ?2, ?3)", table));
      if (!put.ok()) {
        return std::move(put).error();
      }
      auto remove = database->Prepare(fmt::format("DELETE FROM {} WHERE key = ?1", table));
      if (!remove.ok()) {
        return std::move(remove).error();
      }
      writers.push_back(Writers{*std::move(put), *std::move(remove)});
    }
    return std::unique_ptr<Datastore>(
        new SqliteDatastore(std::move(folder), path, *std::move(database), std::move(writers)));
  }

  Result<std::vector<Row>> Load(Table table) override {
    auto read = database_.Prepare(
        fmt::format("SELECT key, value, checksum FROM {} ORDER BY key", NameOf(table)));
    if (!read.ok()) {
      return std::move(read).error();
    }
    std::vector<Row> rows;
    while (true) {
      const auto more = read->Step();
      if (!more.ok()) {
        return more.error();
      }
      if (!*more) {
        return rows;
      }
      Row row{std::string(read->Bytes(0)), std::string(read->Bytes(1))};
      if (read->Number(2) != Checksum(row.key, row.value)) {
        return DamagedFile(path_,
                           fmt::format("row {} of {} is damaged", rows.size() + 1, NameOf(table)));
      }
      rows.push_back(std::move(row));
    }
  }

  Result<void> Apply(const std::vector<Change>& changes) override {
    for (const Change& change : changes) {
      if (change.key.size() > kMaxBytes || (change.value && change.value->size() > kMaxBytes)) {
        return Error(Code::kInvalidArgument,
                     fmt::format("a row of {} is above {} bytes", NameOf(change.table), kMaxBytes));
      }
    }
    auto applied = Commit(changes);
    if (!applied.ok() && database_.InTransaction()) {
      database_.Run("ROLLBACK").IgnoreBecause("it ends the transaction whatever it says");
    }
    return applied;
  }

 private:
  struct Writers {
    Statement put;
    Statement remove;
  };

  SqliteDatastore(DataFolder folder,
                  std::string path,
                  Database database,
                  std::vector<Writers> writers)
      : folder_(std::move(folder)),
        path_(std::move(path)),
        database_(std::move(database)),
        writers_(std::move(writers)) {}

  Result<void> Commit(const std::vector<Change>& changes) {
    if (auto begun = database_.Run("BEGIN IMMEDIATE"); !begun.ok()) {
      return begun;
    }
    for (const Change& change : changes) {
      if (auto written = Write(change); !written.ok()) {
        return written;
      }
    }
    return database_.Run("COMMIT");
  }

  Result<void> Write(const Change& change) {
    Writers& writers = writers_[IndexOf(change.table)];
    Statement& statement = change.value ? writers.put : writers.remove;
    statement.BindText(1, change.key);
    if (change.value) {
      statement.BindBytes(2, *change.value);
      statement.BindNumber(3, Checksum(change.key, *change.value));
    }
    const auto done = statement.Step();
    statement.Reset();
    return done.ok() ? Ok() : Result<void>(done.error());
  }

  // Destroyed in turn, the last first: the folder is free when the database is closed.
  DataFolder folder_;
  std::string path_;
  Database database_;
  /// In the order of Table.
  std::vector<Writers> writers_;
};

}  // namespace

Result<std::unique_ptr<Datastore>> Datastore::Open(const std::string& folder) {
  auto held = DataFolder::Hold(folder);
  if (!held.ok()) {
    return std::move(held).error();
  }
  const std::string path = held->PathOf(kName);
  struct stat info{};
  if (lstat(path.c_str(), &info) != 0) {
    if (errno != ENOENT) {
      return Failure("look at", path);
    }
    if (auto unused = held->CheckUnused(kNewName); !unused.ok()) {
      return std::move(unused).error();
    }
    if (auto created = CreateDatabase(*held); !created.ok()) {
      return std::move(created).error();
    }
  }
  if (auto marked = held->MarkUsed(); !marked.ok()) {
    return std::move(marked).error();
  }
  if (auto checked = CheckHeader(path); !checked.ok()) {
    return std::move(checked).error();
  }
  if (auto closed = CloseToOthers(path + "-wal"); !closed.ok()) {
    return std::move(closed).error();
  }
  auto opened = SqliteDatastore::Open(*std::move(held));
  if (!opened.ok() && opened.error().code() == Code::kInternal) {
    // Our SQL fits the databases that we make.
    return DamagedFile(path,
                       fmt::format("not as credence makes it ({})", opened.error().message()));
  }
  return opened;
}

}  // namespace credence
