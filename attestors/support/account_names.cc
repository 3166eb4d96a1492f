#include "attestors/support/account_names.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>

#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/core/file.h"
#include "base/core/log.h"

namespace credence {
namespace {

/// Runs one of the _r functions with a buffer that grows as far as a large group needs.
template <class Record, class Lookup>
Result<std::optional<std::string>> NameFrom(Lookup look_up,
                                            char* Record::* name,
                                            std::string_view what,
                                            id_t id) {
  constexpr std::size_t kMaxBuffer = std::size_t{4} << 20;
  for (std::vector<char> buffer(4096); buffer.size() <= kMaxBuffer;
       buffer.resize(buffer.size() * 4)) {
    Record record{};
    Record* found = nullptr;
    const int error_number = look_up(id, &record, buffer.data(), buffer.size(), &found);
    if (error_number == ERANGE) {
      continue;
    }
    // getpwuid_r(3): these too mean that there is no such record.
    const bool absent = error_number == ENOENT || error_number == ESRCH || error_number == EBADF ||
                        error_number == EPERM;
    if (error_number != 0 && !absent) {
      return Error(Code::kUnavailable,
                   fmt::format("look up {} {}: {}", what, id, ErrnoText(error_number)));
    }
    if (found == nullptr || found->*name == nullptr || *(found->*name) == '\0') {
      return std::optional<std::string>();
    }
    return std::optional<std::string>(found->*name);
  }
  return Error(Code::kUnavailable, fmt::format("look up {} {}: the record is too large", what, id));
}

}  // namespace

Result<std::optional<std::string>> SystemAccounts::UserName(uid_t uid) const {
  return NameFrom<passwd>(getpwuid_r, &passwd::pw_name, "user", uid);
}

Result<std::optional<std::string>> SystemAccounts::GroupName(gid_t gid) const {
  return NameFrom<group>(getgrgid_r, &group::gr_name, "group", gid);
}

AccountNames::AccountNames(asio::any_io_executor core,
                           asio::thread_pool& pool,
                           const AccountDatabase& database,
                           const Clock& clock,
                           Options options)
    : database_(database),
      clock_(clock),
      options_(options),
      gate_(std::move(core), pool, options.gate) {}

const AccountNames::Entry* AccountNames::Find(AccountId id) const {
  const auto entry = entries_.find(id);
  return entry == entries_.end() ? nullptr : &entry->second;
}

const std::string* AccountNames::Name(AccountId id) const {
  const Entry* entry = Find(id);
  // A name may expire between Unknown() and here, and may be served a little longer while a lookup
  // hangs.
  const bool believed = entry != nullptr && clock_.SteadyNow() < entry->expires + options_.memory;
  return believed && entry->name ? &*entry->name : nullptr;
}

std::vector<AccountId> AccountNames::Unknown(const std::vector<AccountId>& ids) const {
  const SteadyTime now = clock_.SteadyNow();
  std::vector<AccountId> unknown;
  for (const AccountId id : ids) {
    const Entry* entry = Find(id);
    if (entry == nullptr || entry->expires <= now) {
      unknown.push_back(id);
    }
  }
  return unknown;
}

Task<Result<void>> AccountNames::Load(std::vector<AccountId> ids, uid_t uid, Deadline deadline) {
  std::set<std::shared_ptr<Lookup>> awaited;
  auto lookup = std::make_shared<Lookup>();
  for (const AccountId id : Unknown(ids)) {
    if (const auto running = running_.find(id); running != running_.end()) {
      awaited.insert(running->second);
    } else {
      lookup->ids.push_back(id);
    }
  }
  if (!lookup->ids.empty()) {
    if (auto started = StartLookup(lookup, uid); !started.ok()) {
      co_return started;
    }
    awaited.insert(lookup);
  }
  for (const auto& one : awaited) {
    const bool done = co_await one->done.Wait(deadline);
    if (!done) {
      co_return Error(Code::kDeadlineExceeded,
                      "looking up names of users and groups takes too long");
    }
  }
  co_return Ok();
}

Result<void> AccountNames::StartLookup(std::shared_ptr<Lookup> lookup, uid_t uid) {
  const auto work = [lookup, &database = database_] {
    for (const AccountId id : lookup->ids) {
      lookup->names.push_back(id.kind == AccountId::Kind::kUser ? database.UserName(id.id)
                                                                : database.GroupName(id.id));
    }
  };
  const auto done = [this, lookup] {
    Remember(*lookup);
    lookup->done.Set();
  };
  if (auto submitted = gate_.Submit(uid, work, done); !submitted.ok()) {
    return submitted;
  }
  for (const AccountId id : lookup->ids) {
    running_.emplace(id, lookup);
  }
  return Ok();
}

void AccountNames::Remember(const Lookup& lookup) {
  const SteadyTime now = clock_.SteadyNow();
  std::size_t failed = 0;
  for (std::size_t i = 0; i < lookup.ids.size(); ++i) {
    const auto& name = lookup.names[i];
    running_.erase(lookup.ids[i]);
    MakeRoom();
    if (name.ok()) {
      entries_[lookup.ids[i]] = Entry{*name, now + options_.memory};
    } else {
      entries_[lookup.ids[i]] = Entry{std::nullopt, now + options_.failure_memory};
      if (failed++ == 0) {
        LogWarn("Cannot look up an account name", {{"error", name.error()}});
      }
    }
  }
  if (failed > 1) {
    LogWarn("Cannot look up other account names of the same process", {{"names", failed - 1}});
  }
}

void AccountNames::MakeRoom() {
  if (entries_.size() < options_.max_entries) {
    return;
  }
  const SteadyTime now = clock_.SteadyNow();
  std::erase_if(entries_, [now](const auto& entry) { return entry.second.expires <= now; });
  if (entries_.size() >= options_.max_entries) {
    entries_.clear();
  }
}

}  // namespace credence
