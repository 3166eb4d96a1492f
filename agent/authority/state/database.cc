#include "agent/authority/state/database.h"

#include <errno.h>

#include <fmt/format.h>
#include <sqlite3.h>

#include "base/core/check.h"
#include "base/core/file.h"

namespace credence {
namespace {

/// Exclusive comes before the first access: then the index of the WAL is memory of ours, and there
/// is no -shm file. A big transaction's log is cut to 4 MiB when its pages are in the database.
constexpr const char* kSettings =
    "PRAGMA locking_mode=EXCLUSIVE;"
    "PRAGMA synchronous=FULL;"
    "PRAGMA cache_size=-1024;"
    "PRAGMA mmap_size=0;"
    "PRAGMA temp_store=MEMORY;"
    "PRAGMA journal_size_limit=4194304;"
    "PRAGMA cell_size_check=ON;"
    "PRAGMA trusted_schema=OFF";

Code CodeOf(int result, int error_number) {
  if (result == SQLITE_IOERR_DATA || result == SQLITE_IOERR_CORRUPTFS) {
    return Code::kDataLoss;
  }
  switch (result & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
      return Code::kDataLoss;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
      return Code::kResourceExhausted;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Code::kAlreadyExists;
    case SQLITE_ERROR:
    case SQLITE_INTERNAL:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_MISUSE:
      return Code::kInternal;
    default:
      // SQLite knows a full disk by ENOSPC only.
      return CodeFromErrno(error_number) == Code::kResourceExhausted ? Code::kResourceExhausted
                                                                     : Code::kUnavailable;
  }
}

/// Of the last call on `database`, which returned `result`; `errno` was 0 before it and has not
/// changed since. sqlite3_system_errno() misses what a COMMIT met.
Error Failure(sqlite3* database, int result) {
  const int kind = result & 0xff;
  const int error_number = kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN ? errno : 0;
  const char* name = sqlite3_db_filename(database, "main");
  const std::string path = name == nullptr ? "" : name;
  const Code code = CodeOf(result, error_number);
  if (code == Code::kDataLoss) {
    return DamagedFile(path, sqlite3_errmsg(database));
  }
  const std::string reason = error_number == 0 ? "" : fmt::format(": {}", ErrnoText(error_number));
  return Error(code, fmt::format("{}: {}{}", path, sqlite3_errmsg(database), reason));
}

}  // namespace

Error DamagedFile(const std::string& path, std::string_view what) {
  return Error(Code::kDataLoss,
               fmt::format("{}: {}; restore it from a backup, together with its -wal file or with "
                           "none beside it",
                           path,
                           what));
}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

void Statement::BindText(int parameter, std::string_view text) {
  CREDENCE_CHECK(
      sqlite3_bind_text64(
          statement_.get(), parameter, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8) ==
      SQLITE_OK);
}

void Statement::BindBytes(int parameter, std::string_view bytes) {
  CREDENCE_CHECK(
      sqlite3_bind_blob64(statement_.get(), parameter, bytes.data(), bytes.size(), SQLITE_STATIC) ==
      SQLITE_OK);
}

void Statement::BindNumber(int parameter, std::int64_t number) {
  CREDENCE_CHECK(sqlite3_bind_int64(statement_.get(), parameter, number) == SQLITE_OK);
}

Result<bool> Statement::Step() {
  errno = 0;
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW || result == SQLITE_DONE) {
    return result == SQLITE_ROW;
  }
  return Failure(sqlite3_db_handle(statement_.get()), result);
}

std::string_view Statement::Bytes(int column) const {
  // In this order: the first call settles what the second counts.
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return bytes == nullptr
             ? std::string_view()
             : std::string_view(static_cast<const char*>(bytes), static_cast<std::size_t>(size));
}

std::int64_t Statement::Number(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

void Statement::Reset() {
  // Says again what Step() has said.
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

void Database::Close::operator()(sqlite3* database) const {
  sqlite3_close_v2(database);
}

Result<Database> Database::Open(const std::string& path) {
  // A relative path might be one of SQLite's own names.
  CREDENCE_CHECK(path.starts_with('/'));
  sqlite3* opened = nullptr;
  errno = 0;
  const int result =
      sqlite3_open_v2(path.c_str(),
                      &opened,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                      nullptr);
  if (opened == nullptr) {
    return Error(Code::kResourceExhausted, fmt::format("{}: out of memory", path));
  }
  Database database(opened);
  if (result != SQLITE_OK) {
    return Failure(opened, result);
  }
  if (auto set = database.Run(kSettings); !set.ok()) {
    return std::move(set).error();
  }
  return database;
}

Result<void> Database::Run(const std::string& sql) {
  errno = 0;
  const int result = sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  return result == SQLITE_OK ? Ok() : Result<void>(Failure(database_.get(), result));
}

Result<std::string> Database::Ask(const std::string& sql) {
  auto question = Prepare(sql);
  if (!question.ok()) {
    return std::move(question).error();
  }
  const auto answered = question->Step();
  if (!answered.ok()) {
    return answered.error();
  }
  return std::string(*answered ? question->Bytes(0) : std::string_view());
}

Result<Statement> Database::Prepare(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  errno = 0;
  const int result = sqlite3_prepare_v3(database_.get(),
                                        sql.c_str(),
                                        static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT,
                                        &statement,
                                        nullptr);
  if (result != SQLITE_OK) {
    return Failure(database_.get(), result);
  }
  return Statement(statement);
}

bool Database::InTransaction() const {
  return sqlite3_get_autocommit(database_.get()) == 0;
}

}  // namespace credence
