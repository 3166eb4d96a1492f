#include "agent/identity/synchronizer.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "base/core/log.h"

namespace credence {
namespace {

/// For one whole sync, as SPIRE's agent has it.
constexpr std::chrono::seconds kSyncTimeout{30};
constexpr double kIntervalJitter = 0.1;
/// Between syncs while the server says when to.
constexpr std::chrono::minutes kFollowedInterval{10};
/// From the end of a sync to the next, however often the server calls for one.
constexpr std::chrono::milliseconds kLeastPause{500};

std::chrono::milliseconds LongestWait(std::chrono::milliseconds interval) {
  constexpr std::chrono::minutes kLongest{8};
  constexpr int kIntervals = 48;
  return std::min<std::chrono::milliseconds>(kLongest, interval * kIntervals);
}

std::string TimeSince(SteadyTime begun, const Clock& clock) {
  return FormatDuration(
      std::chrono::duration_cast<std::chrono::milliseconds>(clock.SteadyNow() - begun));
}

}  // namespace

Synchronizer::Synchronizer(asio::any_io_executor executor,
                           IdentityStore& store,
                           ServerClient& server,
                           const Clock& clock,
                           Options options,
                           std::function<void()> synced)
    : store_(store),
      server_(server),
      clock_(clock),
      options_(std::move(options)),
      synced_(std::move(synced)),
      backoff_({.initial = options_.interval, .cap = LongestWait(options_.interval)}),
      told_(std::move(executor), 0) {}

Task<void> Synchronizer::Run() {
  while (true) {
    synced_with_ = told_.version();
    const SteadyTime begun = clock_.SteadyNow();
    const auto done = co_await SyncOnce();
    if (done.ok()) {
      if (status_.last_success == WallTime()) {
        LogInfo("Synchronized with the server",
                {{"entries", store_.entries()->size()}, {"took", TimeSince(begun, clock_)}});
      } else if (!status_.error.empty()) {
        LogInfo("Synchronized with the server again");
      }
      status_ = SyncStatus{clock_.Now(), ""};
      backoff_.Reset();
      synced_();
      co_await WaitForNext(Jitter(
          follows_ ? std::max<std::chrono::milliseconds>(kFollowedInterval, options_.interval)
                   : options_.interval,
          kIntervalJitter));
    } else {
      const bool news = status_.error.empty();
      status_.error = done.error().ToString();
      if (news) {
        // Who waits for something that only the server can give is to hear why it does not come.
        store_.Publish();
      }
      const auto wait = backoff_.Next();
      LogError("Synchronize failed; serving what is still valid",
               {{"error", done.error()}, {"retry_interval", FormatDuration(wait)}});
      co_await WaitForNext(wait);
    }
  }
}

Task<void> Synchronizer::WaitForNext(std::chrono::nanoseconds interval) {
  using boost::asio::experimental::awaitable_operators::operator||;
  co_await Sleep(std::min<std::chrono::milliseconds>(kLeastPause, options_.interval));
  auto told = told_.Changed(synced_with_);
  auto timeout = Sleep(interval);
  co_await (std::move(told) || std::move(timeout));
}

Task<void> Synchronizer::FollowServer() {
  while (true) {
    std::function<void()> changed = [this] {
      follows_ = true;
      SyncSoon();
    };
    const Error ended = co_await server_.WatchChanges(std::move(changed));
    if (ended.code() == Code::kUnimplemented) {
      co_return;
    }
    if (std::exchange(follows_, false)) {
      // Whoever waits for the long interval is to wait for the short one.
      SyncSoon();
    }
    co_await Sleep(Jitter(options_.interval, kIntervalJitter));
  }
}

Task<Result<void>> Synchronizer::SyncOnce() {
  const Deadline deadline = Deadline::After(kSyncTimeout);
  auto sync = co_await server_.SyncEntries(store_.entries(), deadline);
  if (!sync.ok()) {
    co_return std::move(sync).error().Wrap("entries");
  }
  for (const std::string& warning : sync->warnings) {
    LogWarn("The server sent an entry that cannot be used", {{"reason", warning}});
  }
  const SharedEntries entries = OwnEntries(std::move(sync->entries));
  auto own = co_await server_.FetchBundle(deadline);
  if (!own.ok()) {
    co_return std::move(own).error().Wrap("bundle");
  }
  auto federated = co_await FetchFederated(entries, deadline);
  if (!federated.ok()) {
    co_return std::move(federated).error().Wrap("federated bundles");
  }
  store_.ReplaceOwnBundle(std::make_shared<const TrustBundle>(*std::move(own)));
  store_.ReplaceFederatedBundles(*std::move(federated));
  store_.ReplaceEntries(entries);
  co_return Ok();
}

SharedEntries Synchronizer::OwnEntries(SharedEntries entries) const {
  const auto is_foreign = [this](const auto& entry) {
    return !entry.second.spiffe_id.MemberOf(options_.trust_domain);
  };
  if (entries == store_.entries() || std::ranges::none_of(*entries, is_foreign)) {
    return entries;
  }
  EntryMap own = *entries;
  const std::size_t foreign = std::erase_if(own, is_foreign);
  LogWarn("The server sent entries of another trust domain, which are left out",
          {{"entries", foreign}, {"trust_domain", options_.trust_domain.name()}});
  // What is the same stays the same object, so that nothing is done anew.
  return own == *store_.entries() ? store_.entries()
                                  : std::make_shared<const EntryMap>(std::move(own));
}

Task<Result<BundleSet>> Synchronizer::FetchFederated(SharedEntries entries, Deadline deadline) {
  std::set<TrustDomain> domains;
  for (const auto& [id, entry] : *entries) {
    domains.insert(entry.federates_with.begin(), entry.federates_with.end());
  }
  domains.erase(options_.trust_domain);
  BundleSet bundles;
  for (const TrustDomain& domain : domains) {
    auto bundle = co_await server_.FetchFederatedBundle(domain, deadline);
    if (!bundle.ok() && bundle.error().code() == Code::kInternal) {
      LogWarn("The bundle of a federated trust domain cannot be used; the last one stays",
              {{"trust_domain", domain.name()}, {"error", bundle.error()}});
      if (const auto last = store_.federated_bundles().find(domain.name());
          last != store_.federated_bundles().end()) {
        bundles.insert(*last);
      }
      continue;
    }
    if (!bundle.ok()) {
      co_return std::move(bundle).error().Wrap(domain.name());
    }
    if (bundle->has_value()) {
      bundles.emplace(domain.name(), std::make_shared<const TrustBundle>(**std::move(bundle)));
    } else {
      LogWarn("The server has no bundle of a federated trust domain",
              {{"trust_domain", domain.name()}});
    }
  }
  co_return bundles;
}

}  // namespace credence
