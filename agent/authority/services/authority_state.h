#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include "agent/authority/keys/signing_keys.h"
#include "agent/authority/services/entry_set.h"
#include "agent/authority/state/datastore.h"
#include "base/core/clock.h"
#include "base/core/latch.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/core/task_group.h"
#include "base/core/watch.h"
#include "base/spiffe/spiffe_id.h"

#include "credence/authority/v1/state.pb.h"

namespace credence {

/// How the IDs of entries from files start; no other entry gets such an ID.
inline constexpr std::string_view kFileEntryPrefix = "file.";

/// What operators and agents have put in.
struct AuthorityTables {
  EntrySet entries;
  /// Where those of them that stand in files do, by ID; they are not on the disk as well.
  std::map<std::string, std::string, std::less<>> file_entries;
  /// By SPIFFE ID.
  std::map<std::string, authority::v1::AgentRecord, std::less<>> agents;
  /// By token.
  std::map<std::string, authority::v1::JoinTokenRecord, std::less<>> join_tokens;
  /// By name of the foreign trust domain.
  std::map<std::string, authority::v1::FederationRecord, std::less<>> federation;
};

/// Everything a trust authority knows, in memory, each change on the disk before it shows. Readers
/// look; writers plan a change that is looked at, stored and applied one after the other, so that a
/// plan sees the outcome of all before it. Threads: core thread.
class AuthorityState {
 public:
  struct Options {
    SigningKeyOptions keys;
  };

  /// What a writer wants, in the same order: rows for the disk, then the same for memory. With no
  /// rows nothing is stored.
  struct Plan {
    std::vector<Change> changes;
    std::function<void(AuthorityTables& tables)> apply;
  };
  using Planner = std::function<Result<Plan>(const AuthorityTables& tables)>;

  /// Reads the store, and makes the first keys in a new one. Blocks: before the core thread runs.
  /// Errors: kDataLoss naming what is damaged; kFailedPrecondition when the store belongs to
  /// another trust domain; those of files.
  static Result<std::unique_ptr<AuthorityState>> Load(asio::any_io_executor executor,
                                                      asio::thread_pool& pool,
                                                      const Clock& clock,
                                                      std::unique_ptr<Datastore> store,
                                                      Options options);

  const TrustDomain& trust_domain() const { return options_.keys.trust_domain; }
  const AuthorityTables& tables() const { return tables_; }
  /// The signing keys; a new set whenever they change.
  Watch<SharedSigningKeys>& keys() { return keys_; }
  std::uint64_t bundle_sequence() const { return bundle_sequence_; }
  /// Changes with what agents ask for: entries and bundles.
  Watch<std::uint64_t>& changes() { return changes_; }
  /// The bundle of the trust domain as it is now.
  spire::api::types::Bundle Bundle() const;

  /// Set when the foreign trust domains whose bundle may be known have become more or fewer.
  Watch<std::monostate>& foreign_domains() { return foreign_domains_; }

  /// Plans, stores, applies. The plan goes on even when the caller is cancelled meanwhile. `plan`
  /// owns what it touches. Errors: those of `plan`; of Datastore::Apply, and then nothing has
  /// changed; kUnavailable when stopping.
  Task<Result<void>> Write(Planner plan);

  /// Puts `entries` in the place of all that come from files; `files` says which file each is from.
  void ReplaceFileEntries(const EntrySet& entries,
                          std::map<std::string, std::string, std::less<>> files);

  using KeyKind = authority::v1::SigningKeyRecord::Kind;

  /// Rotates a key by hand, at once: who has not seen the new bundle yet fails to connect until it
  /// has. A rotation of that kind that was planned is done with it. Errors: kAborted while another
  /// rotation goes on; those of Write.
  Task<Result<void>> RotateKey(KeyKind kind, bool taint);

  /// A rotation by hand whose new key is published already.
  struct PlannedRotation {
    /// The IDs of the key that takes over and of the one before.
    std::string successor;
    std::string replaced;
    bool taint = false;
    WallTime at;
  };
  /// Publishes the next key now and lets it take over once it is known everywhere, also when who
  /// asked has gone. After a restart in between it takes over on schedule. Asked again meanwhile it
  /// is the same plan, and the old key is tainted if either wanted it. Errors: as RotateKey.
  Task<Result<PlannedRotation>> PlanRotation(KeyKind kind, bool taint);
  const std::map<KeyKind, PlannedRotation>& planned_rotations() const { return planned_; }

  /// Writes, rotates keys on schedule, and forgets what has expired.
  void Start();
  Task<void> Stop();

 private:
  struct Job {
    Planner plan;
    Result<void> outcome;
    Latch done;
  };

  AuthorityState(asio::any_io_executor executor,
                 asio::thread_pool& pool,
                 const Clock& clock,
                 std::unique_ptr<Datastore> store,
                 Options options);

  Result<void> LoadTables();
  Result<void> LoadOrCreateKeys();
  Task<void> WriteJobs();
  Task<void> Perform(std::shared_ptr<Job> job);
  void TellOfChange() { changes_.Set(changes_.value() + 1); }
  Task<void> RotateOnSchedule();
  Task<void> RotateAsPlanned(KeyKind kind, std::string successor, std::chrono::nanoseconds wait);
  Task<Result<void>> FinishRotation(KeyKind kind);
  /// What is due, and when to look again.
  Task<Result<WallTime>> RotateDueKeys();
  Task<void> ForgetExpired();
  /// A plan that puts `update` in the place of `before`, which must still be what is there.
  Planner PlanOf(SigningKeysUpdate update, SharedSigningKeys before);

  asio::any_io_executor executor_;
  asio::thread_pool& pool_;
  const Clock& clock_;
  std::shared_ptr<Datastore> store_;
  Options options_;
  AuthorityTables tables_;
  Watch<std::monostate> foreign_domains_;
  Watch<SharedSigningKeys> keys_;
  std::uint64_t bundle_sequence_ = 1;
  Watch<std::uint64_t> changes_;
  std::deque<std::shared_ptr<Job>> jobs_;
  Watch<std::uint64_t> queued_;
  /// One at a time: another one's new key file would look like a stray.
  bool rotating_ = false;
  std::map<KeyKind, PlannedRotation> planned_;
  bool stopping_ = false;
  TaskGroup tasks_;
};

}  // namespace credence
