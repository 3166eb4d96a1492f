#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "agent/authority/state/datastore.h"

namespace credence {

using Rows = std::map<Table, std::map<std::string, std::string>>;

/// A datastore without a disk, which can be full.
class MemoryDatastore final : public Datastore {
 public:
  explicit MemoryDatastore(Rows rows = {}) : rows_(std::move(rows)) {}

  Result<std::vector<Row>> Load(Table table) override {
    const std::lock_guard lock(mutex_);
    std::vector<Row> loaded;
    for (const auto& [key, value] : rows_[table]) {
      loaded.push_back({key, value});
    }
    return loaded;
  }
  Result<void> Apply(const std::vector<Change>& changes) override {
    if (full_) {
      return Error(Code::kResourceExhausted, "the disk is full");
    }
    const std::lock_guard lock(mutex_);
    ++applied_;
    for (const Change& change : changes) {
      if (change.value) {
        rows_[change.table][change.key] = *change.value;
      } else {
        rows_[change.table].erase(change.key);
      }
    }
    return Ok();
  }

  Rows rows() const {
    const std::lock_guard lock(mutex_);
    return rows_;
  }
  void set_rows(Rows rows) {
    const std::lock_guard lock(mutex_);
    rows_ = std::move(rows);
  }
  /// How often something was stored.
  std::uint64_t applied() const { return applied_; }
  void set_full(bool full) { full_ = full; }

 private:
  mutable std::mutex mutex_;
  Rows rows_;
  std::atomic<std::uint64_t> applied_ = 0;
  std::atomic<bool> full_ = false;
};

}  // namespace credence
