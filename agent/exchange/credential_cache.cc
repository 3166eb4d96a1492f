#include "agent/exchange/credential_cache.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

namespace credence {

CredentialKey KeyOf(const Allowance& allowance, const Settings& parameters) {
  return {allowance.identity.id.text(), allowance.destination->name, parameters, allowance.max_ttl};
}

bool CredentialCache::Holds(const CredentialSlot& slot) const {
  const auto found = slots_.find(slot.key);
  return found != slots_.end() && found->second.get() == &slot;
}

CredentialCache::Slots::iterator CredentialCache::LeastRecentlyUsed(Slots::iterator from,
                                                                    Slots::iterator to) const {
  auto oldest = to;
  for (auto slot = from; slot != to; ++slot) {
    const bool idle = !slot->second->busy();
    if (idle && (oldest == to || slot->second->last_used < oldest->second->last_used)) {
      oldest = slot;
    }
  }
  return oldest;
}

Result<void> CredentialCache::MakeRoom(const CredentialKey& key) {
  // Slots of one identity at one destination stand side by side: only parameters and limits differ.
  const auto first = slots_.lower_bound(CredentialKey{key.spiffe_id, key.destination, {}, {}});
  auto last = first;
  std::size_t count = 0;
  while (last != slots_.end() && last->first.spiffe_id == key.spiffe_id &&
         last->first.destination == key.destination) {
    ++last;
    ++count;
  }
  const bool identity_full = count >= max_per_identity_;
  if (!identity_full && slots_.size() < max_slots_) {
    return Ok();
  }
  const auto end = identity_full ? last : slots_.end();
  const auto victim = LeastRecentlyUsed(identity_full ? first : slots_.begin(), end);
  if (victim == end) {
    return Error(Code::kResourceExhausted,
                 fmt::format("{} exchanges with other parameters are under way",
                             identity_full ? count : slots_.size()));
  }
  slots_.erase(victim);
  return Ok();
}

Result<std::shared_ptr<CredentialSlot>> CredentialCache::FindOrAdd(
    const CredentialKey& key, const DestinationResource& destination) {
  const auto found = slots_.find(key);
  if (found != slots_.end() && found->second->MadeFor(destination)) {
    return found->second;
  }
  if (found != slots_.end()) {
    slots_.erase(found);
  }
  if (auto room = MakeRoom(key); !room.ok()) {
    return std::move(room).error();
  }
  auto slot = std::make_shared<CredentialSlot>();
  slot->key = key;
  slot->adapter = destination.adapter;
  slot->settings = destination.settings;
  slots_.emplace(key, slot);
  return slot;
}

void CredentialCache::ForEach(
    const std::function<void(const std::shared_ptr<CredentialSlot>&)>& visit) const {
  for (const auto& slot : slots_) {
    visit(slot.second);
  }
}

void CredentialCache::EraseIf(const std::function<bool(const CredentialSlot&)>& condition) {
  std::erase_if(slots_, [&condition](const auto& slot) { return condition(*slot.second); });
}

std::size_t CredentialCache::credentials() const {
  return static_cast<std::size_t>(std::count_if(slots_.begin(), slots_.end(), [](const auto& slot) {
    return slot.second->credential != nullptr;
  }));
}

}  // namespace credence
