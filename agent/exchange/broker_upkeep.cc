#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "agent/exchange/broker_core.h"
#include "base/core/wall_clock.h"

namespace credence {
namespace {

constexpr std::chrono::milliseconds kMinSleep(5);
/// A renewed credential that lives less than this part of what an exchange gives is not worth
/// having.
constexpr int kLeastRenewedPart = 3;

/// Evenly from [-1, 1].
double Spread() {
  constexpr std::chrono::milliseconds kUnit(1000);
  return static_cast<double>(Jitter(kUnit, 1.0).count()) / static_cast<double>(kUnit.count()) - 1.0;
}

WallTime NextGrantEnd(const Resources& resources, WallTime now) {
  WallTime next = WallTime::max();
  for (const GrantResource& grant : resources.grants) {
    if (grant.expires && *grant.expires > now) {
      next = std::min(next, *grant.expires);
    }
  }
  return next;
}

}  // namespace

/// Wakes the waiters of a flight however it ends.
class Broker::Core::Landing {
 public:
  Landing(std::shared_ptr<CredentialSlot> slot, std::shared_ptr<Flight> flight)
      : slot_(std::move(slot)), flight_(std::move(flight)) {
    flight_->result.refusal = StoppingRefusal();
  }
  ~Landing() {
    if (slot_->flight == flight_) {
      slot_->flight = nullptr;
    }
    flight_->landed.Set();
  }
  Landing(const Landing&) = delete;
  Landing& operator=(const Landing&) = delete;

 private:
  std::shared_ptr<CredentialSlot> slot_;
  std::shared_ptr<Flight> flight_;
};

void Broker::Core::Start() {
  running_.Spawn("resources of the broker", FollowResources());
  running_.Spawn("upkeep of credentials", Maintain());
}

Task<void> Broker::Core::Stop() {
  stopping_ = true;
  co_await running_.Stop();
}

void Broker::Core::Board(const std::shared_ptr<CredentialSlot>& slot,
                         const std::shared_ptr<Flight>& flight,
                         Deadline callers) {
  if (flight->patience) {
    auto& patience = *flight->patience;
    patience.callers = Deadline::At(std::max(patience.callers.time(), callers.time()));
    return;
  }
  flight->patience = std::make_shared<ExchangePatience>(
      ExchangePatience{.callers = callers, .end = Deadline::After(options_.exchange_timeout)});
  slot->flight = flight;
  slot->planned.reset();
  running_.Spawn("credential exchange", RunFlight(slot, flight, *slot->last_order));
}

Task<void> Broker::Core::RunFlight(std::shared_ptr<CredentialSlot> slot,
                                   std::shared_ptr<Flight> flight,
                                   ExchangeOrder order) {
  const Landing landing(slot, flight);
  std::optional<Revocation> before = RevocationOf(*slot);
  order.renew = RenewableOf(*slot);
  order.exchange_id = flight->id;
  order.wanted = [this, slot] { return WantedNow(*slot); };
  ExchangeResult result = co_await exchanger_.Run(std::move(order), flight->patience);
  flight->result = std::move(result);
  flight->result.exchange_id = flight->id;
  Land(*slot, flight->result);
  if (!cache_.Holds(*slot)) {
    RevokeStray(*slot, std::move(before), flight->result.renewed);
  }
}

std::optional<Revocation> Broker::Core::RevocationOf(const CredentialSlot& slot) {
  if (!slot.credential) {
    return std::nullopt;
  }
  Revocation revocation{.order = *slot.last_order, .credential = slot.credential};
  revocation.order.exchange_id = slot.exchange_id;
  return revocation;
}

void Broker::Core::RevokeStray(const CredentialSlot& slot,
                               std::optional<Revocation> before,
                               bool renewed) {
  if (StandingNow(slot) != Standing::kNone || !slot.credential) {
    return;
  }
  std::vector<Revocation> stray = {*RevocationOf(slot)};
  // A renewed one is the same at the vendor.
  if (before && before->credential != slot.credential && !renewed) {
    stray.push_back(*std::move(before));
  }
  Revoke(std::move(stray));
}

void Broker::Core::Revoke(std::vector<Revocation> revocations) {
  std::map<std::string, std::vector<Revocation>> by_destination;
  for (Revocation& revocation : revocations) {
    by_destination[revocation.order.destination].push_back(std::move(revocation));
  }
  for (auto& [destination, list] : by_destination) {
    running_.Spawn("revocation of credentials", revoker_.Run(std::move(list)));
  }
}

SharedCredential Broker::Core::RenewableOf(const CredentialSlot& slot) const {
  const SharedCredential& credential = slot.credential;
  // A limited credential may not grow older than its limit, and a renewed one keeps its age at the
  // vendor.
  if (!credential || !credential->renewable || slot.key.max_ttl ||
      credential->expires_at <= clock_.Now()) {
    return nullptr;
  }
  const auto life = credential->expires_at - credential->issued_at;
  return life * kLeastRenewedPart >= slot.exchanged_life ? credential : nullptr;
}

void Broker::Core::Land(CredentialSlot& slot, const ExchangeResult& result) {
  const WallTime now = clock_.Now();
  if (result.credential) {
    if (!result.renewed) {
      slot.exchanged_life = result.credential->expires_at - result.credential->issued_at;
    }
    // The first callers of an exchange count as users; those of a refresh are yet to come.
    slot.used_since_refresh = slot.credential == nullptr;
    slot.credential = result.credential;
    slot.exchange_id = result.exchange_id;
    slot.denial.reset();
    slot.refresh_backoff.reset();
    slot.refresh_at = slot.Life().RefreshAt(Spread());
  } else {
    if (result.remember.count() > 0) {
      slot.denial = result;
      slot.denied_until = clock_.SteadyNow() + result.remember;
    }
    if (!slot.refresh_backoff) {
      slot.refresh_backoff.emplace(options_.refresh_retry);
    }
    slot.refresh_at = result.may_pass || result.opaque
                          ? now + std::max(slot.refresh_backoff->Next(), result.remember)
                          : WallTime::max();
    if (result.unlogged) {
      // The next attempt is for a caller whose decision could be written.
      slot.used_since_refresh = false;
    }
  }
  upkeep_.Set({});
}

Task<void> Broker::Core::FollowResources() {
  std::uint64_t seen = 0;
  while (true) {
    seen = co_await resources_.Changed(seen);
    ApplyResources();
  }
}

void Broker::Core::ApplyResources() {
  const SharedResources before = std::exchange(applied_, resources_.value());
  const Resources& current = Current();
  if (before) {
    for (const DestinationResource& old : before->destinations) {
      const DestinationResource* now = current.FindDestination(old.name);
      if (now == nullptr || now->adapter != old.adapter || now->settings != old.settings) {
        exchanger_.Forget(old.name);
      }
    }
  }
  DropUngranted();
  cache_.ForEach([&](const std::shared_ptr<CredentialSlot>& slot) {
    if (slot->last_order) {
      slot->last_order->target = current.FindDestination(slot->key.destination)->target;
    }
  });
  upkeep_.Set({});
}

void Broker::Core::DropUngranted() {
  std::vector<Revocation> ended;
  cache_.ForEach([&](const std::shared_ptr<CredentialSlot>& slot) {
    // One with an exchange under way is seen to when that ends.
    if (slot->credential && !slot->flight && StandingNow(*slot) == Standing::kNone) {
      ended.push_back(*RevocationOf(*slot));
    }
  });
  Revoke(std::move(ended));
  cache_.EraseIf([this](const CredentialSlot& slot) { return !WantedNow(slot); });
}

Task<void> Broker::Core::Maintain() {
  using boost::asio::experimental::awaitable_operators::operator||;
  while (true) {
    const std::uint64_t seen = upkeep_.version();
    const WallTime due = Tend();
    auto until_due =
        SleepOnWallClock(std::max<std::chrono::nanoseconds>(due - clock_.Now(), kMinSleep));
    auto woken = upkeep_.Changed(seen);
    co_await (std::move(until_due) || std::move(woken));
  }
}

WallTime Broker::Core::Tend() {
  const WallTime now = clock_.Now();
  const SteadyTime steady_now = clock_.SteadyNow();
  if (grants_end_ <= now) {
    DropUngranted();
  }
  grants_end_ = NextGrantEnd(Current(), now);
  cache_.EraseIf([&](const CredentialSlot& slot) {
    const bool over = !slot.credential || slot.credential->expires_at <= now;
    return over && !slot.busy() && !slot.DeniedAt(steady_now);
  });
  WallTime due = grants_end_;
  cache_.ForEach([&](const std::shared_ptr<CredentialSlot>& slot) {
    if (slot->flight) {
      return;
    }
    if (!slot->credential || slot->credential->expires_at <= now) {
      slot->credential = nullptr;
      if (slot->DeniedAt(steady_now)) {
        const auto left = slot->denied_until - steady_now;
        due = std::min(due, now + std::chrono::duration_cast<WallTime::duration>(left));
      }
      return;
    }
    RefreshIfDue(slot, now);
    due = std::min(due, slot->credential->expires_at);
    if (slot->used_since_refresh && !slot->flight) {
      due = std::min(due, slot->refresh_at);
    }
  });
  return due;
}

void Broker::Core::RefreshIfDue(const std::shared_ptr<CredentialSlot>& slot, WallTime now) {
  const bool due = slot->credential && slot->used_since_refresh && slot->refresh_at <= now;
  if (!due || slot->flight || stopping_ || !slot->last_order || !cache_.Holds(*slot)) {
    return;
  }
  if (!WantedNow(*slot)) {
    slot->refresh_at = WallTime::max();
    return;
  }
  const HeldIdentity& identity = slot->last_order->identity;
  if (!jwt_source_.Holds(identity.entry_id, identity.id)) {
    // Until a caller has it again.
    slot->used_since_refresh = false;
    return;
  }
  Board(slot, PlanFlight(*slot), Deadline::After(options_.exchange_timeout));
}

}  // namespace credence
