#pragma once

#include <cstddef>
#include <deque>
#include <set>

#include "base/crypto/digest.h"
#include "base/svid/jwt_svid.h"

namespace credence {

/// Remembers the JWT-SVIDs that were sent to a destination, by digest, so that none is ever sent
/// twice.
class SpentSvids {
 public:
  explicit SpentSvids(std::size_t capacity) : capacity_(capacity) {}

  /// False if these bytes, or this issuer's jti, were spent before; else they are now.
  bool Spend(const JwtSvid& svid);

 private:
  bool Contains(const Sha256Digest& digest) const { return spent_.contains(digest); }
  void Add(const Sha256Digest& digest);

  std::size_t capacity_;
  std::set<Sha256Digest> spent_;
  std::deque<Sha256Digest> order_;
};

}  // namespace credence
