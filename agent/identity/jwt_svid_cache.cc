#include "agent/identity/jwt_svid_cache.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "agent/identity/renewal.h"
#include "base/core/log.h"

namespace credence {
namespace {

/// After a failed renewal the next try waits at least this long.
constexpr std::chrono::seconds kRenewalPause{5};

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

Task<Result<SharedJwtSvid>> JwtSvidCache::Get(SharedEntry entry,
                                              std::vector<std::string> audience,
                                              Deadline deadline) {
  if (entry->jwt_svid_has_jti) {
    auto fresh = co_await sign_(entry->id, std::move(audience), deadline);
    if (!fresh.ok()) {
      co_return std::move(fresh).error();
    }
    co_return std::make_shared<const JwtSvid>(*std::move(fresh));
  }
  const Key key{entry->id, std::move(audience)};
  while (true) {
    if (auto held = FindValid(key)) {
      co_return held;
    }
    const auto flight = Join(key);
    const auto landed = co_await WithDeadline(deadline, Landed(flight));
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

Task<Result<void>> JwtSvidCache::Landed(std::shared_ptr<Flight> flight) {
  co_await flight->outcome.Changed(1);
  co_return Ok();
}

SharedJwtSvid JwtSvidCache::FindValid(const Key& key) {
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
  return token.svid;
}

std::shared_ptr<JwtSvidCache::Flight> JwtSvidCache::Join(const Key& key) {
  auto& flight = flights_[key];
  if (!flight) {
    flight = std::make_shared<Flight>(executor_);
    tasks_.Spawn("sign JWT-SVID", Sign(key, flight));
  }
  return flight;
}

Task<void> JwtSvidCache::Sign(Key key, std::shared_ptr<Flight> flight) {
  auto signed_svid =
      co_await sign_(key.entry_id, key.audience, Deadline::After(options_.sign_timeout));
  flights_.erase(key);
  if (!signed_svid.ok()) {
    LogWarn("Could not renew a JWT-SVID",
            {{"entry_id", key.entry_id}, {"error", signed_svid.error()}});
    flight->outcome.Set(std::make_shared<const Outcome>(std::move(signed_svid).error()));
    co_return;
  }
  auto svid = std::make_shared<const JwtSvid>(*std::move(signed_svid));
  if (svid->jti.empty()) {
    Keep(key, svid);
  }
  flight->outcome.Set(std::make_shared<const Outcome>(std::move(svid)));
}

void JwtSvidCache::Keep(const Key& key, SharedJwtSvid svid) {
  const WallTime renew_at = RenewalTime(svid->issued_at, svid->expires_at, DrawJitter());
  const auto found = tokens_.find(key);
  if (found != tokens_.end()) {
    found->second.svid = std::move(svid);
    found->second.renew_at = renew_at;
    found->second.used = false;
  } else {
    recency_.push_front(key);
    tokens_.emplace(key, Token{std::move(svid), renew_at, false, recency_.begin()});
    while (tokens_.size() > options_.max_size) {
      Erase(tokens_.find(recency_.back()));
    }
  }
  wake_.cancel();
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
    if (withdrawn || !still_there.contains(current->first.entry_id)) {
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
        Join(current->first);
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
