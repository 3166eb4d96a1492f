#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/core/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace credence {

/// kDataLoss: what is wrong with the file at `path`, and that a backup is the way out.
Error DamagedFile(const std::string& path, std::string_view what);

/// A prepared statement. Parameters are numbered from 1, columns from 0.
///
/// Errors of everything here name the file: kDataLoss when it is damaged, kAlreadyExists when
/// another process has it open, kResourceExhausted when disk or memory is full, kUnavailable for
/// what else the disk says, kInternal for SQL that the file does not fit.
class Statement {
 public:
  /// What is bound must stay as it is until Reset().
  void BindText(int parameter, std::string_view text);
  void BindBytes(int parameter, std::string_view bytes);
  void BindNumber(int parameter, std::int64_t number);

  /// Whether there is a (further) row.
  Result<bool> Step();
  /// Of the present row, until the next Step() or Reset().
  std::string_view Bytes(int column) const;
  std::int64_t Number(int column) const;

  /// Ready to be run again, nothing bound.
  void Reset();

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}

  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

/// An open SQLite file: synchronous, about 1 MiB of cache, not mapped, locked against other
/// processes from the first access on. One thread at a time.
class Database {
 public:
  /// Opens a file that exists; its content is first looked at by what comes next. `path` is
  /// absolute.
  static Result<Database> Open(const std::string& path);

  /// Runs statements one after the other, rows are dropped.
  Result<void> Run(const std::string& sql);
  /// First column of the first row.
  Result<std::string> Ask(const std::string& sql);
  Result<Statement> Prepare(const std::string& sql);
  bool InTransaction() const;

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  explicit Database(sqlite3* database) : database_(database) {}

  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace credence
