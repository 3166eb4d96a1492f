#include "attestors/workload/unix/unix_attestor.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/core/log.h"
#include "base/process/proc_status.h"

namespace credence {
namespace {

/// Each costs time and memory, on the core thread and for as long as a stream is open.
constexpr std::size_t kMostGroups = 512;

Selector UnixSelector(std::string_view kind, std::string_view value) {
  return Selector{"unix", fmt::format("{}:{}", kind, value)};
}

std::vector<AccountId> AccountsOf(const ProcStatus& status) {
  const std::size_t groups = std::min(status.supplementary_gids.size(), kMostGroups);
  std::vector<AccountId> ids;
  ids.reserve(groups + 2);
  ids.push_back({AccountId::Kind::kUser, status.effective_uid});
  ids.push_back({AccountId::Kind::kGroup, status.effective_gid});
  for (const gid_t gid : std::span(status.supplementary_gids).first(groups)) {
    ids.push_back({AccountId::Kind::kGroup, gid});
  }
  return ids;
}

void AddAccount(const AccountNames& names,
                AccountId account,
                std::string_view id_kind,
                std::string_view name_kind,
                std::vector<Selector>* selectors) {
  selectors->push_back(UnixSelector(id_kind, fmt::format_int(account.id).c_str()));
  if (const std::string* name = names.Name(account)) {
    selectors->push_back(UnixSelector(name_kind, *name));
  }
}

}  // namespace

UnixAttestor::UnixAttestor(asio::any_io_executor core,
                           asio::thread_pool& pool,
                           const AccountDatabase& accounts,
                           const Clock& clock,
                           Options options)
    : clock_(clock),
      options_(options),
      names_(core, pool, accounts, clock, {}),
      digests_(core,
               pool,
               clock,
               {.max_bytes = static_cast<std::uint64_t>(
                    std::max<std::int64_t>(options.workload_size_limit, 0))}) {}

Task<Result<std::vector<Selector>>> UnixAttestor::Attest(
    std::shared_ptr<const PinnedProcess> process, Deadline deadline) {
  const auto status = process->ReadStatus();
  if (!status.ok()) {
    co_return status.error();
  }
  const std::vector<AccountId> accounts = AccountsOf(*status);
  if (!names_.Unknown(accounts).empty()) {
    co_await LoadNames(accounts, process->caller().uid, deadline);
  }
  std::vector<Selector> selectors;
  selectors.reserve(accounts.size() * 2 + 2);
  AddAccount(names_, accounts[0], "uid", "user", &selectors);
  AddAccount(names_, accounts[1], "gid", "group", &selectors);
  for (std::size_t i = 2; i < accounts.size(); ++i) {
    AddAccount(names_, accounts[i], "supplementary_gid", "supplementary_group", &selectors);
  }
  if (options_.discover_workload_path) {
    auto added = co_await AddExecutable(std::move(process), deadline, &selectors);
    if (!added.ok()) {
      co_return std::move(added).error();
    }
  }
  co_return selectors;
}

Task<void> UnixAttestor::LoadNames(std::vector<AccountId> ids, uid_t uid, Deadline deadline) {
  const auto loaded = co_await names_.Load(
      std::move(ids), uid, deadline.Earlier(Deadline::After(options_.name_timeout)));
  constexpr auto kLogEvery = std::chrono::seconds(10);
  const SteadyTime now = clock_.SteadyNow();
  if (!loaded.ok() && now >= name_failure_logged_ + kLogEvery) {
    name_failure_logged_ = now;
    LogWarn("Attesting without names of users and groups", {{"error", loaded.error()}});
  }
}

/// An entry that needs the path matches no more, and nothing else says why.
void UnixAttestor::LogPathLeftOut(const Caller& caller, const std::string& path) {
  constexpr auto kLogEvery = std::chrono::seconds(10);
  if (next_path_log_ && !next_path_log_->Passed()) {
    ++paths_unlogged_;
    return;
  }
  next_path_log_ = Deadline::After(kLogEvery);
  LogWarn("Attesting without the selector path: the process may have arranged the mounts there",
          {{"pid", caller.pid},
           {"uid", caller.uid},
           {"unverified_path", path},
           {"others_not_logged", std::exchange(paths_unlogged_, 0)}});
}

Task<Result<void>> UnixAttestor::AddExecutable(std::shared_ptr<const PinnedProcess> process,
                                               Deadline deadline,
                                               std::vector<Selector>* selectors) {
  const auto path = process->PathOfExecutable();
  if (!path.ok()) {
    co_return path.error();
  }
  if (path->callers_view) {
    LogPathLeftOut(process->caller(), path->text);
  } else {
    selectors->push_back(UnixSelector("path", path->text));
  }
  if (options_.workload_size_limit < 0) {
    co_return Ok();
  }
  const auto digest = co_await digests_.Get(std::move(process), deadline);
  if (!digest.ok()) {
    co_return digest.error();
  }
  selectors->push_back(UnixSelector("sha256", Hex(*digest)));
  co_return Ok();
}

}  // namespace credence
