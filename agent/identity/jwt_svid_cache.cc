#include "agent/identity/jwt_svid_cache.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include <boost/asio/post.hpp>

#include "agent/identity/renewal.h"
#include "base/core/log.h"

namespace credence {
namespace {

/// After a failed renewal the next try waits at least this long.
constexpr std::chrono::seconds kRenewalPause{5};
/// With less than this part of its life left, a token may end before its audience has seen it.
constexpr int kLastPartOfLife = 6;
/// Then a caller waits this long for the next one.
constexpr std::chrono::seconds kPatienceWithOneHeld{1};

/// Counts one for a key while it lives.
class Counted {
 public:
  Counted(std::map<std::string, std::size_t>& counts, const std::string& key)
      : counts_(counts), key_(key) {
    ++counts_[key_];
  }
  ~Counted() {
    if (--counts_[key_] == 0) {
      counts_.erase(key_);
    }
  }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  std::map<std::string, std::size_t>& counts_;
  std::string key_;
};

Result<SharedJwtSvid> HeldOrTooMany(const SharedJwtSvid& held, const std::string& entry_id) {
  if (held) {
    return held;
  }
  return Error(Code::kResourceExhausted,
               "too many JWT-SVIDs are being signed for registration entry " + entry_id);
}

}  // namespace

JwtSvidCache::JwtSvidCache(asio::any_io_executor executor,
                           const Clock& clock,
                           SignJwtSvid sign,
                           Options options)
    : executor_(executor),
      clock_(clock),
      sign_(std::move(sign)),
      options_(options),
      wake_(executor, SteadyTime::max()),
      tasks_(executor) {}

/// Somebody who waits for a flight. The last one to leave before it lands ends it.
class JwtSvidCache::Waiter {
 public:
  Waiter(JwtSvidCache& cache, std::shared_ptr<Flight> flight)
      : cache_(cache), flight_(std::move(flight)) {
    ++flight_->waiting;
  }
  ~Waiter() {
    if (--flight_->waiting == 0) {
      cache_.GiveUp(flight_);
    }
  }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

 private:
  JwtSvidCache& cache_;
  std::shared_ptr<Flight> flight_;
};

/// Takes a flight off the list however its task ends, also before its first step, and has an
/// outcome for who still waits.
class JwtSvidCache::Landing {
 public:
  Landing(JwtSvidCache& cache, Key key, std::shared_ptr<Flight> flight)
      : cache_(cache), key_(std::move(key)), flight_(std::move(flight)) {}
  ~Landing() {
    flight_->cancel = nullptr;
    if (!flight_->outcome.value()) {
      End(Error(Code::kUnavailable, "the agent is shutting down"));
    }
  }
  Landing(const Landing&) = delete;
  Landing& operator=(const Landing&) = delete;

  void End(Outcome outcome) {
    const auto listed = cache_.flights_.find(key_);
    if (listed != cache_.flights_.end() && listed->second == flight_) {
      cache_.flights_.erase(listed);
    }
    flight_->outcome.Set(std::make_shared<const Outcome>(std::move(outcome)));
  }

 private:
  JwtSvidCache& cache_;
  Key key_;
  std::shared_ptr<Flight> flight_;
};

Task<Result<SharedJwtSvid>> JwtSvidCache::Get(SharedEntry entry,
                                              std::vector<std::string> audience,
                                              Deadline deadline) {
  if (entry->jwt_svid_has_jti) {
    co_return co_await SignForOne(entry->id, std::move(audience), deadline);
  }
  const Key key{entry->id, entry->spiffe_id.text(), std::move(audience)};
  while (true) {
    Token* const token = FindValid(key);
    const SharedJwtSvid held = token == nullptr ? nullptr : token->svid;
    if (held && !IsWorthWaiting(key, *token)) {
      co_return held;
    }
    Deadline patience = deadline;
    if (held) {
      token->renew_at = clock_.Now() + kRenewalPause;
      patience = Deadline::After(
          std::min<std::chrono::nanoseconds>(kPatienceWithOneHeld, deadline.Remaining() / 2));
    }
    if (IsBusyWithOthers(key)) {
      co_return HeldOrTooMany(held, key.entry_id);
    }
    const auto flight = Join(key);
    const Waiter waiter(*this, flight);
    const auto landed = co_await WithDeadline(patience, Landed(flight));
    const bool answered = landed.ok() && flight->outcome.value()->ok();
    if (held && !answered) {
      // Gone by now if its key or its identity was withdrawn meanwhile.
      if (const Token* const still = FindValid(key)) {
        co_return still->svid;
      }
      if (!landed.ok() && !deadline.Passed()) {
        continue;
      }
    }
    if (!landed.ok()) {
      co_return Error(Code::kDeadlineExceeded, "the server did not sign a JWT-SVID in time");
    }
    const Outcome& outcome = *flight->outcome.value();
    // A token with a jti is for one caller; the others ask again.
    if (!outcome.ok() || (*outcome)->jti.empty() || !std::exchange(flight->taken, true)) {
      co_return outcome;
    }
  }
}

Task<Result<SharedJwtSvid>> JwtSvidCache::SignForOne(std::string entry_id,
                                                     std::vector<std::string> audience,
                                                     Deadline deadline) {
  if (IsBusy(entry_id)) {
    co_return HeldOrTooMany(nullptr, entry_id);
  }
  const Counted counted(single_use_, entry_id);
  auto fresh = co_await sign_(entry_id, std::move(audience), deadline);
  if (!fresh.ok()) {
    co_return std::move(fresh).error();
  }
  co_return std::make_shared<const JwtSvid>(*std::move(fresh));
}

bool JwtSvidCache::IsBusy(const std::string& entry_id) const {
  const auto single = single_use_.find(entry_id);
  std::size_t count = single == single_use_.end() ? 0 : single->second;
  for (auto flight = flights_.lower_bound(Key{entry_id, "", {}});
       flight != flights_.end() && flight->first.entry_id == entry_id;
       ++flight) {
    ++count;
  }
  return count >= options_.max_signing_per_entry;
}

bool JwtSvidCache::IsBusyWithOthers(const Key& key) const {
  return !flights_.contains(key) && IsBusy(key.entry_id);
}

Task<Result<void>> JwtSvidCache::Landed(std::shared_ptr<Flight> flight) {
  co_await flight->outcome.Changed(1);
  co_return Ok();
}

JwtSvidCache::Token* JwtSvidCache::FindValid(const Key& key) {
  const auto found = tokens_.find(key);
  if (found == tokens_.end() || found->second.svid->expires_at <= clock_.Now()) {
    return nullptr;
  }
  Token& token = found->second;
  // Also when it is overdue: the machine's clock may have jumped while the renewal slept.
  const bool overdue = token.renew_at <= clock_.Now();
  if (!std::exchange(token.used, true) || overdue) {
    wake_.cancel();
  }
  recency_.splice(recency_.begin(), recency_, token.recency);
  return &token;
}

bool JwtSvidCache::IsWorthWaiting(const Key& key, const Token& token) const {
  const WallTime now = clock_.Now();
  const auto life = token.svid->expires_at - token.svid->issued_at;
  const bool about_to_end = token.svid->expires_at - now < life / kLastPartOfLife;
  return about_to_end && (token.renew_at <= now || flights_.contains(key));
}

std::shared_ptr<JwtSvidCache::Flight> JwtSvidCache::Join(const Key& key) {
  auto& flight = flights_[key];
  if (!flight || flight->given_up) {
    flight = std::make_shared<Flight>(executor_);
    auto landing = std::make_unique<Landing>(*this, key, flight);
    flight->cancel = &tasks_.Spawn("sign JWT-SVID", Sign(key, std::move(landing)));
  }
  return flight;
}

void JwtSvidCache::GiveUp(const std::shared_ptr<Flight>& flight) {
  if (flight->cancel == nullptr) {
    return;
  }
  // Not at once: whoever leaves may itself be in the middle of being cancelled.
  asio::post(executor_, [weak = std::weak_ptr(flight)] {
    const auto abandoned = weak.lock();
    if (abandoned && abandoned->waiting == 0 && !abandoned->renewal &&
        abandoned->cancel != nullptr) {
      abandoned->given_up = true;
      std::exchange(abandoned->cancel, nullptr)->emit(asio::cancellation_type::terminal);
    }
  });
}

Task<void> JwtSvidCache::Sign(Key key, std::unique_ptr<Landing> landing) {
  auto svid = co_await sign_(key.entry_id, key.audience, Deadline::After(options_.sign_timeout));
  if (svid.ok() && svid->id.text() != key.spiffe_id) {
    svid = Error(Code::kUnavailable, "the registration entry is for another SPIFFE ID now");
  }
  if (!svid.ok()) {
    LogWarn("Could not renew a JWT-SVID", {{"entry_id", key.entry_id}, {"error", svid.error()}});
    landing->End(std::move(svid).error());
    co_return;
  }
  auto shared = std::make_shared<const JwtSvid>(*std::move(svid));
  if (shared->jti.empty()) {
    Keep(key, shared);
  }
  landing->End(std::move(shared));
}

void JwtSvidCache::Keep(const Key& key, SharedJwtSvid svid) {
  const WallTime renewal = RenewalTime(svid->issued_at, svid->expires_at, DrawJitter());
  const WallTime renew_at = SpacedRenewal(renewal, clock_.Now(), svid->expires_at);
  const auto found = tokens_.find(key);
  if (found != tokens_.end()) {
    found->second.svid = std::move(svid);
    found->second.renew_at = renew_at;
    found->second.used = false;
  } else {
    recency_.push_front(key);
    tokens_.emplace(key, Token{std::move(svid), renew_at, false, recency_.begin()});
    MakeRoom(key.entry_id);
  }
  wake_.cancel();
}

void JwtSvidCache::MakeRoom(const std::string& entry_id) {
  const auto is_its_own = [&entry_id](const Key& key) { return key.entry_id == entry_id; };
  const auto own = std::ranges::count_if(recency_, is_its_own);
  if (static_cast<std::size_t>(own) > options_.max_per_entry) {
    const auto oldest = std::find_if(recency_.rbegin(), recency_.rend(), is_its_own);
    Erase(tokens_.find(*oldest));
  }
  while (tokens_.size() > options_.max_size) {
    Erase(tokens_.find(recency_.back()));
  }
}

void JwtSvidCache::Erase(std::map<Key, Token>::iterator token) {
  recency_.erase(token->second.recency);
  tokens_.erase(token);
}

void JwtSvidCache::Prune(const EntryMap& still_there, const std::vector<JwtAuthority>& keys) {
  std::set<std::string_view> good;
  for (const JwtAuthority& key : keys) {
    if (!key.tainted) {
      good.insert(key.key_id);
    }
  }
  for (auto token = tokens_.begin(); token != tokens_.end();) {
    const auto current = token++;
    const bool withdrawn = !keys.empty() && !good.contains(current->second.svid->key_id);
    const auto entry = still_there.find(current->first.entry_id);
    if (withdrawn || entry == still_there.end() ||
        entry->second.spiffe_id.text() != current->first.spiffe_id) {
      Erase(current);
    }
  }
}

void JwtSvidCache::Start() {
  tasks_.Spawn("renew JWT-SVIDs ahead", RenewAhead());
}

Task<void> JwtSvidCache::RenewAhead() {
  while (true) {
    const WallTime now = clock_.Now();
    auto next = WallTime::max();
    for (auto entry = tokens_.begin(); entry != tokens_.end();) {
      const auto current = entry++;
      Token& token = current->second;
      if (token.svid->expires_at <= now) {
        Erase(current);
        continue;
      }
      if (token.used && token.renew_at <= now) {
        token.renew_at = now + kRenewalPause;
        Join(current->first)->renewal = true;
      }
      next = std::min(next, token.used ? token.renew_at : token.svid->expires_at);
    }
    if (next == WallTime::max()) {
      wake_.expires_at(SteadyTime::max());
    } else {
      // No finer than 100 ms, so that a burst of changes is one pass.
      wake_.expires_after(
          std::max<WallTime::duration>(next - clock_.Now(), std::chrono::milliseconds(100)));
    }
    boost::system::error_code woken;
    co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      co_return;
    }
  }
}

}  // namespace credence
