#include "agent/exchange/spent_svids.h"

#include <string>

#include <fmt/format.h>

namespace credence {

bool SpentSvids::Spend(const JwtSvid& svid) {
  const Sha256Digest token = Sha256(svid.token->Reveal());
  if (Contains(token)) {
    return false;
  }
  if (!svid.jti.empty()) {
    const Sha256Digest id =
        Sha256(fmt::format("jti {} {} {}", svid.issuer, svid.id.trust_domain().name(), svid.jti));
    if (Contains(id)) {
      return false;
    }
    Add(id);
  }
  Add(token);
  return true;
}

void SpentSvids::Add(const Sha256Digest& digest) {
  spent_.insert(digest);
  order_.push_back(digest);
  if (order_.size() > capacity_) {
    spent_.erase(order_.front());
    order_.pop_front();
  }
}

}  // namespace credence
