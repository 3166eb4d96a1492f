#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
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

/// What operators and agents have put in.
struct AuthorityTables {
  EntrySet entries;
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
  /// The bundle of the trust domain as it is now.
  spire::api::types::Bundle Bundle() const;

  /// Plans, stores, applies. The plan goes on even when the caller is cancelled meanwhile. `plan`
  /// owns what it touches. Errors: those of `plan`; of Datastore::Apply, and then nothing has
  /// changed; kUnavailable when stopping.
  Task<Result<void>> Write(Planner plan);

  /// Rotates a key by hand, at once: who has not seen the new bundle yet fails to connect until it
  /// has. Errors: kAborted while another rotation goes on; those of Write.
  Task<Result<void>> RotateKey(authority::v1::SigningKeyRecord::Kind kind, bool taint);

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
  Task<void> RotateOnSchedule();
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
  Watch<SharedSigningKeys> keys_;
  std::uint64_t bundle_sequence_ = 1;
  std::deque<std::shared_ptr<Job>> jobs_;
  Watch<std::uint64_t> queued_;
  /// One at a time: another one's new key file would look like a stray.
  bool rotating_ = false;
  bool stopping_ = false;
  TaskGroup tasks_;
};

}  // namespace credence
