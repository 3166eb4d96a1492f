#include "agent/authority/services/authority_state.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "agent/authority/keys/issuer.h"
#include "base/core/backoff.h"
#include "base/core/log.h"

namespace credence {
namespace {

using authority::v1::SigningKeyRecord;

constexpr std::string_view kTrustDomainFact = "trust_domain";
constexpr std::string_view kSequenceFact = "bundle_sequence";
/// How often agents should look for a new bundle.
constexpr std::chrono::seconds kRefreshHint{300};
constexpr std::chrono::minutes kForgetInterval{1};
/// Plans that wait for the disk; more callers than this are told to come again.
constexpr std::size_t kMaxJobs = 1024;

Error Damaged(std::string_view what, std::string_view key) {
  return Error(Code::kDataLoss,
               fmt::format("the authority's database holds a damaged {} \"{:.80}\"", what, key));
}

/// One message for each row.
template <class Message, class Take>
Result<void> LoadMessages(Datastore& store, Table table, std::string_view what, Take take) {
  auto rows = store.Load(table);
  if (!rows.ok()) {
    return std::move(rows).error();
  }
  for (const Row& row : *rows) {
    Message message;
    if (!message.ParseFromString(row.value)) {
      return Damaged(what, row.key);
    }
    take(row.key, std::move(message));
  }
  return Ok();
}

std::vector<std::string> DomainsIn(const std::vector<Change>& changes) {
  std::vector<std::string> domains;
  for (const Change& change : changes) {
    if (change.table == Table::kFederation) {
      domains.push_back(change.key);
    }
  }
  return domains;
}

std::vector<bool> AreKnown(const std::vector<std::string>& domains, const AuthorityTables& tables) {
  std::vector<bool> known;
  for (const std::string& domain : domains) {
    known.push_back(tables.federation.contains(domain));
  }
  return known;
}

bool CanExpire(const AuthorityTables& tables) {
  const auto& entries = tables.entries.all();
  return !tables.join_tokens.empty() ||
         std::any_of(entries.begin(), entries.end(), [](const auto& entry) {
           return entry.second->expires_at() != 0;
         });
}

/// Whether the entry that was made along with `record` is of no use without it: no node has come
/// with the token, and nobody has given the entry another meaning.
bool LeavesUnusedAlias(const AuthorityTables& tables,
                       const authority::v1::JoinTokenRecord& record) {
  const StoredEntry alias = tables.entries.Find(record.alias_entry_id());
  return alias && alias->revision_number() == 0 &&
         alias->parent_id().path() == "/spire/agent/join_token/" + record.token() &&
         !tables.agents.contains(TextOfId(alias->parent_id()));
}

AuthorityState::Planner PlanToForget(std::int64_t now) {
  return [now](const AuthorityTables& tables) -> Result<AuthorityState::Plan> {
    std::vector<std::string> entries;
    std::vector<std::string> tokens;
    AuthorityState::Plan plan;
    for (const auto& [id, entry] : tables.entries.all()) {
      if (entry->expires_at() != 0 && entry->expires_at() <= now &&
          !tables.file_entries.contains(id)) {
        entries.push_back(id);
        plan.changes.push_back({Table::kEntries, id, std::nullopt});
      }
    }
    for (const auto& [token, record] : tables.join_tokens) {
      if (record.expires_at() <= now) {
        tokens.push_back(token);
        plan.changes.push_back({Table::kJoinTokens, token, std::nullopt});
        if (LeavesUnusedAlias(tables, record)) {
          entries.push_back(record.alias_entry_id());
          plan.changes.push_back({Table::kEntries, record.alias_entry_id(), std::nullopt});
        }
      }
    }
    plan.apply = [entries, tokens](AuthorityTables& changed) {
      for (const std::string& id : entries) {
        changed.entries.Erase(id);
      }
      for (const std::string& token : tokens) {
        changed.join_tokens.erase(token);
      }
    };
    return plan;
  };
}

/// Whether an agent that asks again is told something else.
bool ConcernsAgents(const std::vector<Change>& changes) {
  return std::any_of(changes.begin(), changes.end(), [](const Change& change) {
    return change.table == Table::kEntries || change.table == Table::kFederation ||
           change.table == Table::kSigningKeys;
  });
}

}  // namespace

AuthorityState::AuthorityState(asio::any_io_executor executor,
                               asio::thread_pool& pool,
                               const Clock& clock,
                               std::unique_ptr<Datastore> store,
                               Options options)
    : pool_(pool),
      clock_(clock),
      store_(std::move(store)),
      options_(std::move(options)),
      foreign_domains_(executor, {}),
      keys_(executor, nullptr),
      changes_(executor, 0),
      queued_(executor, 0),
      tasks_(std::move(executor)) {}

Result<std::unique_ptr<AuthorityState>> AuthorityState::Load(asio::any_io_executor executor,
                                                             asio::thread_pool& pool,
                                                             const Clock& clock,
                                                             std::unique_ptr<Datastore> store,
                                                             Options options) {
  std::unique_ptr<AuthorityState> state(
      new AuthorityState(std::move(executor), pool, clock, std::move(store), std::move(options)));
  if (auto loaded = state->LoadTables(); !loaded.ok()) {
    return std::move(loaded).error();
  }
  if (auto loaded = state->LoadOrCreateKeys(); !loaded.ok()) {
    return std::move(loaded).error();
  }
  return state;
}

Result<void> AuthorityState::LoadTables() {
  using spire::api::types::Entry;
  auto loaded = LoadMessages<Entry>(
      *store_, Table::kEntries, "registration entry", [this](const std::string&, Entry entry) {
        tables_.entries.Put(std::make_shared<const Entry>(std::move(entry)));
      });
  if (loaded.ok()) {
    loaded = LoadMessages<authority::v1::AgentRecord>(
        *store_, Table::kAgents, "agent", [this](const std::string& key, auto record) {
          tables_.agents.emplace(key, std::move(record));
        });
  }
  if (loaded.ok()) {
    loaded = LoadMessages<authority::v1::JoinTokenRecord>(
        *store_, Table::kJoinTokens, "join token", [this](const std::string& key, auto record) {
          tables_.join_tokens.emplace(key, std::move(record));
        });
  }
  if (loaded.ok()) {
    loaded = LoadMessages<authority::v1::FederationRecord>(
        *store_, Table::kFederation, "foreign bundle", [this](const std::string& key, auto record) {
          tables_.federation.emplace(key, std::move(record));
        });
  }
  return loaded;
}

Result<void> AuthorityState::LoadOrCreateKeys() {
  auto facts = store_->Load(Table::kFacts);
  if (!facts.ok()) {
    return std::move(facts).error();
  }
  const auto fact = [&facts](std::string_view name) -> const std::string* {
    const auto found =
        std::find_if(facts->begin(), facts->end(), [&](const Row& row) { return row.key == name; });
    return found == facts->end() ? nullptr : &found->value;
  };
  const std::string* owner = fact(kTrustDomainFact);
  if (owner == nullptr) {
    auto created = CreateSigningKeys(options_.keys, clock_.Now());
    if (!created.ok()) {
      return std::move(created).error();
    }
    created->changes.push_back(
        {Table::kFacts, std::string(kTrustDomainFact), trust_domain().name()});
    created->changes.push_back({Table::kFacts, std::string(kSequenceFact), "1"});
    if (auto stored = store_->Apply(created->changes); !stored.ok()) {
      return stored;
    }
    keys_.Set(created->keys);
    return RemoveStrayKeyFiles(options_.keys, *created->keys);
  }
  if (*owner != trust_domain().name()) {
    return Error(
        Code::kFailedPrecondition,
        fmt::format("this data directory belongs to trust domain {}, not {}: name that one, "
                    "or another directory",
                    *owner,
                    trust_domain().name()));
  }
  const std::string* sequence = fact(kSequenceFact);
  if (sequence == nullptr ||
      std::from_chars(sequence->data(), sequence->data() + sequence->size(), bundle_sequence_).ec !=
          std::errc{}) {
    return Damaged("fact", kSequenceFact);
  }
  std::vector<SigningKeyRecord> records;
  auto loaded = LoadMessages<SigningKeyRecord>(
      *store_, Table::kSigningKeys, "signing key", [&records](const std::string&, auto record) {
        records.push_back(std::move(record));
      });
  if (!loaded.ok()) {
    return loaded;
  }
  auto keys = LoadSigningKeys(options_.keys, records);
  if (!keys.ok()) {
    return std::move(keys).error();
  }
  keys_.Set(*keys);
  return RemoveStrayKeyFiles(options_.keys, **keys);
}

spire::api::types::Bundle AuthorityState::Bundle() const {
  return BundleOf(trust_domain(), *keys_.value(), bundle_sequence_, kRefreshHint);
}

void AuthorityState::Start() {
  tasks_.Spawn("write the authority's state", WriteJobs());
  tasks_.Spawn("rotate signing keys", RotateOnSchedule());
  tasks_.Spawn("forget what has expired", ForgetExpired());
}

Task<void> AuthorityState::Stop() {
  stopping_ = true;
  for (const auto& job : std::exchange(jobs_, {})) {
    job->done.Set();
  }
  co_await tasks_.Stop();
}

Task<Result<void>> AuthorityState::Write(Planner plan) {
  if (stopping_) {
    co_return Error(Code::kUnavailable, "the authority is shutting down");
  }
  if (jobs_.size() >= kMaxJobs) {
    co_return Error(Code::kUnavailable, "too many changes wait for the disk; try again");
  }
  const auto job = std::make_shared<Job>();
  job->plan = std::move(plan);
  job->outcome = Error(Code::kUnavailable, "the authority is shutting down");
  jobs_.push_back(job);
  queued_.Set(queued_.value() + 1);
  co_await job->done.Wait(Deadline::At(SteadyTime::max()));
  co_return job->outcome;
}

void AuthorityState::ReplaceFileEntries(const EntrySet& entries,
                                        std::map<std::string, std::string, std::less<>> files) {
  for (const auto& [id, file] : tables_.file_entries) {
    tables_.entries.Erase(id);
  }
  for (const auto& [id, entry] : entries.all()) {
    tables_.entries.Put(entry);
  }
  tables_.file_entries = std::move(files);
  TellOfChange();
}

Task<void> AuthorityState::WriteJobs() {
  std::uint64_t seen = 0;
  while (true) {
    while (!jobs_.empty()) {
      auto job = std::move(jobs_.front());
      jobs_.pop_front();
      co_await Perform(std::move(job));
    }
    seen = queued_.version();
    if (jobs_.empty()) {
      co_await queued_.Changed(seen);
    }
  }
}

Task<void> AuthorityState::Perform(std::shared_ptr<Job> job) {
  auto plan = job->plan(tables_);
  if (!plan.ok()) {
    job->outcome = std::move(plan).error();
  } else if (plan->changes.empty()) {
    job->outcome = Ok();
  } else {
    const bool concerns_agents = ConcernsAgents(plan->changes);
    const std::vector<std::string> domains = DomainsIn(plan->changes);
    auto store = [store = store_, changes = std::move(plan->changes)] {
      return store->Apply(changes);
    };
    job->outcome = co_await RunOn(pool_, std::move(store));
    if (job->outcome.ok()) {
      const std::vector<bool> before = AreKnown(domains, tables_);
      plan->apply(tables_);
      if (AreKnown(domains, tables_) != before) {
        foreign_domains_.Set({});
      }
      if (concerns_agents) {
        TellOfChange();
      }
    } else {
      LogError("The authority's state could not be stored", {{"error", job->outcome.error()}});
    }
  }
  job->done.Set();
}

AuthorityState::Planner AuthorityState::PlanOf(SigningKeysUpdate update, SharedSigningKeys before) {
  return [this, update = std::move(update), before = std::move(before)](
             const AuthorityTables&) -> Result<Plan> {
    if (keys_.value() != before) {
      return Error(Code::kAborted, "the keys have changed meanwhile; try again");
    }
    const std::uint64_t sequence = bundle_sequence_ + 1;
    Plan plan{update.changes, [this, keys = update.keys, sequence](AuthorityTables&) {
                bundle_sequence_ = sequence;
                keys_.Set(keys);
              }};
    plan.changes.push_back(
        {Table::kFacts, std::string(kSequenceFact), fmt::format("{}", sequence)});
    return plan;
  };
}

Task<void> AuthorityState::ForgetExpired() {
  while (true) {
    const std::uint64_t seen = queued_.version();
    // Refused while too many changes wait, and then it must not ask again in this same turn.
    const auto forgotten = co_await Write(PlanToForget(ToUnixSeconds(clock_.Now())));
    if (!forgotten.ok() || CanExpire(tables_)) {
      co_await Sleep(kForgetInterval);
    } else {
      // The version that this task's own write made is no news.
      co_await queued_.Changed(seen + 1);
    }
  }
}

}  // namespace credence
