#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "agent/config/resources.h"
#include "agent/exchange/credential_life.h"
#include "agent/exchange/exchanger.h"
#include "agent/exchange/policy.h"
#include "base/core/backoff.h"
#include "base/core/clock.h"
#include "base/core/latch.h"

namespace credence {

/// What a credential is for. Different keys never share one.
struct CredentialKey {
  std::string spiffe_id;
  std::string destination;
  Settings parameters;
  /// Longest life that the grant allows. It counts from the exchange, so one that a renewal kept
  /// alive for a caller without a limit is not for one with a limit.
  std::optional<std::chrono::milliseconds> max_ttl;

  auto operator<=>(const CredentialKey&) const = default;
};

CredentialKey KeyOf(const Allowance& allowance, const Settings& parameters);

/// An exchange, planned or under way, and those who wait for it.
struct Flight {
  /// Its name in the audit log.
  std::string id;
  /// Null until it starts.
  std::shared_ptr<ExchangePatience> patience;
  ExchangeResult result;
  Latch landed;
};

/// All that is known for one key.
struct CredentialSlot {
  CredentialKey key;
  /// The destination it was got from, to notice that the destination changed.
  std::string adapter;
  Settings settings;

  SharedCredential credential;
  /// The exchange that brought it.
  std::string exchange_id;
  /// Life of what the last exchange gave; renewals may give less.
  WallTime::duration exchanged_life{0};
  /// Under way.
  std::shared_ptr<Flight> flight;
  /// The next one, as long as requests whose decisions are being written to the log count on it.
  std::weak_ptr<Flight> planned;
  /// A vendor's "no" that is still believed.
  std::optional<ExchangeResult> denial;
  SteadyTime denied_until{};

  /// The request that used it last, for refreshing in its name.
  std::optional<ExchangeOrder> last_order;
  SteadyTime last_used{};
  bool used_since_refresh = false;
  /// WallTime::max(): never again.
  WallTime refresh_at = WallTime::max();
  std::optional<Backoff> refresh_backoff;

  CredentialLife Life() const {
    return {credential->issued_at, LimitedExpiry(*credential, key.max_ttl)};
  }
  bool busy() const { return flight || !planned.expired(); }
  bool DeniedAt(SteadyTime now) const { return denial && now < denied_until; }
  bool MadeFor(const DestinationResource& destination) const {
    return adapter == destination.adapter && settings == destination.settings;
  }
};

/// Slots by key, bounded; the least recently used one that is not busy goes first.
/// Threads: core thread. Slots are shared: one that was dropped lives on for those who hold it.
class CredentialCache {
 public:
  CredentialCache(std::size_t max_slots, std::size_t max_per_identity)
      : max_slots_(max_slots), max_per_identity_(max_per_identity) {}

  /// A slot for this destination as it is now; one that was made for another state of it is
  /// replaced. Errors: kResourceExhausted if every slot is busy.
  Result<std::shared_ptr<CredentialSlot>> FindOrAdd(const CredentialKey& key,
                                                    const DestinationResource& destination);
  bool Holds(const CredentialSlot& slot) const;

  void ForEach(const std::function<void(const std::shared_ptr<CredentialSlot>&)>& visit) const;
  void EraseIf(const std::function<bool(const CredentialSlot&)>& condition);

  /// Slots with a credential.
  std::size_t credentials() const;

 private:
  using Slots = std::map<CredentialKey, std::shared_ptr<CredentialSlot>>;

  Result<void> MakeRoom(const CredentialKey& key);
  Slots::iterator LeastRecentlyUsed(Slots::iterator from, Slots::iterator to) const;

  std::size_t max_slots_;
  std::size_t max_per_identity_;
  Slots slots_;
};

}  // namespace credence
