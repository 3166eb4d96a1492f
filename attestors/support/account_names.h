#pragma once

#include <sys/types.h>

#include <chrono>
#include <compare>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include "attestors/support/pool_gate.h"
#include "base/core/clock.h"
#include "base/core/deadline.h"
#include "base/core/latch.h"
#include "base/core/result.h"
#include "base/core/task.h"

namespace credence {

/// Where names of users and groups come from. Calls block, and several threads make them.
class AccountDatabase {
 public:
  virtual ~AccountDatabase() = default;

  /// nullopt if there is no such user. Errors: kUnavailable if the database cannot tell.
  virtual Result<std::optional<std::string>> UserName(uid_t uid) const = 0;
  virtual Result<std::optional<std::string>> GroupName(gid_t gid) const = 0;
};

/// The machine's databases, which may be a directory service far away.
/// Source: getpwuid_r(3), getgrgid_r(3), nsswitch.conf(5).
class SystemAccounts final : public AccountDatabase {
 public:
  Result<std::optional<std::string>> UserName(uid_t uid) const override;
  Result<std::optional<std::string>> GroupName(gid_t gid) const override;
};

/// One user or group.
struct AccountId {
  enum class Kind { kUser, kGroup };

  Kind kind = Kind::kUser;
  id_t id = 0;

  auto operator<=>(const AccountId&) const = default;
};

/// Names of users and groups, remembered for a while so that attesting a process rarely waits for a
/// lookup. Threads: core thread; lookups run on the pool, one for each id at a time.
class AccountNames {
 public:
  struct Options {
    /// How long a name, and the fact that there is none, is believed.
    std::chrono::milliseconds memory{10'000};
    /// The same after a failed lookup.
    std::chrono::milliseconds failure_memory{1'000};
    std::size_t max_entries = 4096;
    PoolGate::Options gate{.running = 2, .running_per_uid = 1};
  };

  AccountNames(asio::any_io_executor core,
               asio::thread_pool& pool,
               const AccountDatabase& database,
               const Clock& clock,
               Options options);

  /// The ids that Name() knows nothing current about.
  std::vector<AccountId> Unknown(const std::vector<AccountId>& ids) const;

  /// Looks up those of `ids` that are unknown, in the turn of `uid`.
  /// Errors: kDeadlineExceeded, kResourceExhausted; names may then be missing.
  Task<Result<void>> Load(std::vector<AccountId> ids, uid_t uid, Deadline deadline);

  /// The name, nullptr if there is none or it could not be found out; at most twice as old as
  /// Options::memory. Holds until the next Load.
  const std::string* Name(AccountId id) const;

 private:
  struct Entry {
    std::optional<std::string> name;
    SteadyTime expires;
  };
  struct Lookup {
    std::vector<AccountId> ids;
    /// Written on the pool, read on the core thread after the latch is set.
    std::vector<Result<std::optional<std::string>>> names;
    Latch done;
  };

  const Entry* Find(AccountId id) const;
  Result<void> StartLookup(std::shared_ptr<Lookup> lookup, uid_t uid);
  void Remember(const Lookup& lookup);
  void MakeRoom();

  const AccountDatabase& database_;
  const Clock& clock_;
  Options options_;
  std::map<AccountId, Entry> entries_;
  std::map<AccountId, std::shared_ptr<Lookup>> running_;
  PoolGate gate_;
};

}  // namespace credence
