#pragma once

#include <string>
#include <utility>
#include <vector>

#include "agent/exchange/fresh_jwt_source.h"
#include "agent/identity/identity_service.h"

namespace credence {

/// Gives identities to the exchange, which must not see the identity layer's own types.
class FreshSvids final : public FreshJwtSource {
 public:
  explicit FreshSvids(IdentityService& identities) : identities_(identities) {}

  Task<Result<JwtSvid>> FetchFresh(std::string entry_id,
                                   SpiffeId /*id*/,
                                   std::vector<std::string> audience,
                                   Deadline deadline) override {
    return identities_.NewJwtSvid(std::move(entry_id), std::move(audience), deadline);
  }
  bool Holds(const std::string& entry_id, const SpiffeId& id) const override {
    const EntryMap& entries = *identities_.store().entries();
    const auto entry = entries.find(entry_id);
    return entry != entries.end() && entry->second.spiffe_id == id;
  }

 private:
  IdentityService& identities_;
};

}  // namespace credence
