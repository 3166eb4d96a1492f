#include "agent/identity/x509_signer.h"

#include <algorithm>
#include <utility>

#include "agent/identity/renewal.h"
#include "base/core/backoff.h"
#include "base/core/log.h"
#include "base/crypto/certificate.h"

namespace credence {
namespace {

constexpr std::chrono::seconds kSignTimeout{30};
/// After a failed call, a refused entry or a certificate that may not be served.
constexpr std::chrono::seconds kRetryPause{5};
/// After a server signed with a tainted authority once more: it has to change over first.
constexpr std::chrono::minutes kTaintedPause{1};
/// An entry is in use for this long after a caller last asked for it.
constexpr std::chrono::minutes kUseLasts{10};

struct KeyAndCsr {
  PrivateKey key;
  std::string csr;
};

/// Runs on the pool.
Result<std::vector<KeyAndCsr>> MakeKeys(KeyType type, const std::vector<std::string>& spiffe_ids) {
  std::vector<KeyAndCsr> made;
  made.reserve(spiffe_ids.size());
  for (const std::string& spiffe_id : spiffe_ids) {
    auto key = PrivateKey::Generate(type);
    if (!key.ok()) {
      return std::move(key).error();
    }
    auto csr = MakeCsr(*key, spiffe_id);
    if (!csr.ok()) {
      return std::move(csr).error();
    }
    made.push_back(KeyAndCsr{*std::move(key), *std::move(csr)});
  }
  return made;
}

}  // namespace

X509Signer::X509Signer(IdentityStore& store,
                       ServerClient& server,
                       asio::thread_pool& pool,
                       asio::any_io_executor executor,
                       const Clock& clock,
                       Options options)
    : store_(store),
      server_(server),
      pool_(pool),
      clock_(clock),
      options_(options),
      wake_(std::move(executor), SteadyTime::max()),
      batch_size_(ServerClient::kMaxX509Requests) {}

X509Signer::Hold::Hold(X509Signer& signer, const std::vector<SharedEntry>& entries)
    : signer_(&signer) {
  const WallTime now = signer.clock_.Now();
  bool missing = false;
  for (const SharedEntry& entry : entries) {
    ids_.push_back(entry->id);
    Use& use = signer.used_[entry->id];
    ++use.holders;
    use.last = now;
    missing = missing || signer.NeedsSigning(*entry, now);
  }
  if (missing) {
    signer.Wake();
  }
}

X509Signer::Hold& X509Signer::Hold::operator=(Hold&& other) noexcept {
  if (this != &other) {
    Release();
    signer_ = std::exchange(other.signer_, nullptr);
    ids_ = std::move(other.ids_);
  }
  return *this;
}

void X509Signer::Hold::Release() {
  if (signer_ == nullptr) {
    return;
  }
  for (const std::string& id : ids_) {
    Use& use = signer_->used_[id];
    --use.holders;
    use.last = signer_->clock_.Now();
  }
  signer_ = nullptr;
}

void X509Signer::OnChange() {
  if (CheckHeld()) {
    store_.Publish();
  }
  Wake();
}

Task<void> X509Signer::Run() {
  while (true) {
    std::vector<SharedEntry> due = Due();
    if (due.empty()) {
      EvictUnused();
      co_await WaitForWork();
      continue;
    }
    due.resize(std::min(due.size(), batch_size_));
    co_await SignBatch(std::move(due));
  }
}

bool X509Signer::NeedsSigning(const RegistrationEntry& entry, WallTime now) const {
  const auto paused = pause_until_.find(entry.id);
  if (entry.store_svid || (paused != pause_until_.end() && paused->second > now)) {
    return false;
  }
  const SharedX509Svid held = store_.FindX509(entry.id);
  return !held || held->entry_revision != entry.revision ||
         held->entry_created_at != entry.created_at || held->renew_at <= now ||
         tainted_.contains(entry.id);
}

std::vector<SharedEntry> X509Signer::Due() {
  const WallTime now = clock_.Now();
  const SharedEntries& entries = store_.entries();
  std::erase_if(pause_until_, [&](const auto& pause) { return pause.second <= now; });
  std::erase_if(used_, [&](const auto& use) {
    return use.second.holders == 0 &&
           (use.second.last + kUseLasts < now || !entries->contains(use.first));
  });
  std::vector<SharedEntry> wanted;
  std::vector<SharedEntry> ahead;
  std::size_t room =
      options_.cache_max_size - std::min(options_.cache_max_size, store_.x509_svids().size());
  for (const auto& [id, entry] : *entries) {
    if (!NeedsSigning(entry, now)) {
      continue;
    }
    if (used_.contains(id)) {
      wanted.emplace_back(entries, &entry);
    } else if (store_.FindX509(id)) {
      ahead.emplace_back(entries, &entry);
    } else if (!entry.no_x509_prefetch && room > 0) {
      --room;
      ahead.emplace_back(entries, &entry);
    }
  }
  wanted.insert(wanted.end(), ahead.begin(), ahead.end());
  return wanted;
}

Task<void> X509Signer::SignBatch(std::vector<SharedEntry> batch) {
  std::vector<std::string> spiffe_ids;
  for (const SharedEntry& entry : batch) {
    spiffe_ids.push_back(entry->spiffe_id.text());
  }
  const KeyType key_type = options_.key_type;
  // Named first: GCC 12 destroys a capturing lambda twice that is written inside a co_await
  // expression.
  auto make_keys = [key_type, spiffe_ids] { return MakeKeys(key_type, spiffe_ids); };
  auto keys = co_await RunOn(pool_, std::move(make_keys));
  if (!keys.ok()) {
    LogError("Could not make workload keys", {{"error", keys.error()}});
    co_await Sleep(kRetryPause);
    co_return;
  }
  std::vector<X509Request> requests;
  std::vector<Attempt> attempts;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    requests.push_back(X509Request{batch[i]->id, std::move((*keys)[i].csr)});
    attempts.push_back(Attempt{batch[i], std::move((*keys)[i].key)});
  }
  auto chains = co_await server_.SignX509(std::move(requests), Deadline::After(kSignTimeout));
  if (!chains.ok()) {
    batch_size_ = std::max<std::size_t>(1, batch_size_ / 2);
    LogWarn("Could not get X509-SVIDs signed",
            {{"count", attempts.size()}, {"error", chains.error()}});
    co_await Sleep(Jitter(kRetryPause, 0.1));
    co_return;
  }
  batch_size_ = std::min(batch_size_ * 2, ServerClient::kMaxX509Requests);
  const SharedBundle bundle = store_.own_bundle();
  auto check =
      [attempts, signed_chains = *std::move(chains), bundle, now = clock_.Now()]() mutable {
        std::vector<CheckedX509> results;
        for (std::size_t i = 0; i < attempts.size(); ++i) {
          results.push_back(Checked(attempts[i], std::move(signed_chains[i]), bundle, now));
        }
        return results;
      };
  auto checked = co_await RunOn(pool_, std::move(check));
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    Keep(attempts[i], std::move(checked[i]));
  }
  if (bundle != store_.own_bundle()) {
    checked_against_.reset();
    CheckHeld();
  }
  store_.Publish();
}

X509Signer::CheckedX509 X509Signer::Checked(const Attempt& attempt,
                                            SignedX509 chain,
                                            const SharedBundle& bundle,
                                            WallTime now) {
  if (!chain.ok()) {
    return {std::move(chain)};
  }
  if (chain->id != attempt.entry->spiffe_id) {
    return {Error(Code::kInternal, "the server signed for " + chain->id.text())};
  }
  const auto public_key = PublicKeyOf(chain->certificates.front());
  if (!public_key.ok() || *public_key != attempt.key.PublicKey()) {
    return {Error(Code::kInternal, "the server signed for another key")};
  }
  if (!bundle) {
    return {Error(Code::kUnavailable, "there is no bundle to check the certificate against")};
  }
  // A clock that lags is no reason to ask again: others take the certificate.
  const WallTime then = std::max(now, chain->not_before);
  if (auto verified = VerifyX509Svid(*chain, bundle->x509_authorities, then); !verified.ok()) {
    return {std::move(verified).error()};
  }
  const bool tainted = SignedByTainted(*chain, *bundle, then);
  return {std::move(chain), tainted};
}

void X509Signer::Keep(const Attempt& attempt, CheckedX509 checked) {
  const RegistrationEntry& entry = *attempt.entry;
  SignedX509& chain = checked.chain;
  if (!chain.ok()) {
    pause_until_[entry.id] = clock_.Now() + kRetryPause;
    LogWarn(
        "No new X509-SVID for an entry; what is held stays, and it is asked for again soon",
        {{"entry_id", entry.id}, {"spiffe_id", entry.spiffe_id.text()}, {"error", chain.error()}});
    return;
  }
  const auto now_wanted = store_.entries()->find(entry.id);
  if (now_wanted == store_.entries()->end() || now_wanted->second.store_svid ||
      now_wanted->second.spiffe_id != entry.spiffe_id) {
    return;
  }
  if (checked.tainted) {
    tainted_.insert(entry.id);
    pause_until_[entry.id] = clock_.Now() + kTaintedPause;
  } else {
    tainted_.erase(entry.id);
  }
  const WallTime renewal =
      RenewalTime(chain->not_before, chain->not_after, DrawJitter(), options_.availability_target);
  const WallTime renew_at = SpacedRenewal(renewal, clock_.Now(), chain->not_after);
  auto held = std::make_shared<const HeldX509Svid>(HeldX509Svid{
      X509Svid{*std::move(chain), std::make_shared<const SecretBytes>(attempt.key.ToPkcs8())},
      entry.revision,
      entry.created_at,
      renew_at});
  LogDebug("X509-SVID signed",
           {{"entry_id", entry.id},
            {"spiffe_id", entry.spiffe_id.text()},
            {"expires_at", FormatRfc3339(held->svid.chain.not_after)}});
  store_.PutX509(entry.id, std::move(held));
}

void X509Signer::EvictUnused() {
  std::size_t excess =
      store_.x509_svids().size() - std::min(options_.cache_max_size, store_.x509_svids().size());
  std::vector<std::string> unused;
  for (const auto& [id, svid] : store_.x509_svids()) {
    if (excess == 0) {
      break;
    }
    if (!used_.contains(id)) {
      unused.push_back(id);
      --excess;
    }
  }
  for (const std::string& id : unused) {
    store_.DropX509(id);
  }
}

bool X509Signer::CheckHeld() {
  const SharedBundle bundle = store_.own_bundle();
  if (!bundle || bundle == checked_against_) {
    return false;
  }
  checked_against_ = bundle;
  // What the last bundle did not vouch for, this one may.
  pause_until_.clear();
  tainted_.clear();
  std::vector<std::string> untrusted;
  for (const auto& [id, held] : store_.x509_svids()) {
    const X509SvidChain& chain = held->svid.chain;
    const WallTime then = std::max(clock_.Now(), chain.not_before);
    const auto verified = VerifyX509Svid(chain, bundle->x509_authorities, then);
    if (!verified.ok()) {
      untrusted.push_back(id);
    } else if (SignedByTainted(chain, *bundle, then)) {
      tainted_.insert(id);
    }
  }
  if (!tainted_.empty()) {
    LogInfo("X509-SVIDs of a tainted authority are signed again", {{"count", tainted_.size()}});
  }
  for (const std::string& id : untrusted) {
    store_.DropX509(id);
  }
  return !untrusted.empty();
}

Task<void> X509Signer::WaitForWork() {
  auto next = WallTime::max();
  for (const auto& [id, held] : store_.x509_svids()) {
    const auto pause = pause_until_.find(id);
    next = std::min(
        next,
        pause == pause_until_.end() ? held->renew_at : std::max(held->renew_at, pause->second));
  }
  for (const auto& [id, until] : pause_until_) {
    next = std::min(next, until);
  }
  if (next == WallTime::max()) {
    wake_.expires_at(SteadyTime::max());
  } else {
    // No finer than 100 ms, so that neighbours renew in one batch.
    wake_.expires_after(
        std::max<WallTime::duration>(next - clock_.Now(), std::chrono::milliseconds(100)));
  }
  boost::system::error_code woken;
  co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  const auto state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none) {
    throw boost::system::system_error(asio::error::operation_aborted);
  }
}

}  // namespace credence
