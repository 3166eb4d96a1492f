#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/spiffe/selector.h"
#include "base/spiffe/spiffe_id.h"

namespace credence {

/// What an operator registered at the server: who gets which SPIFFE ID. Only what an agent is told.
/// Source: spire.api.types.Entry.
struct RegistrationEntry {
  std::string id;
  SpiffeId spiffe_id;
  SelectorSet selectors;
  std::vector<TrustDomain> federates_with;
  std::string hint;
  /// Seconds since the Unix epoch; settles which of two entries with one hint is the older.
  std::int64_t created_at = 0;
  std::int64_t revision = 0;
  bool admin = false;
  bool downstream = false;
  /// Goes to an SVID store and is never served on the Workload API.
  bool store_svid = false;
  /// Its X509-SVID is signed on demand, not ahead.
  bool no_x509_prefetch = false;
  /// Each JWT-SVID has a jti of its own, so none may be cached.
  bool jwt_svid_has_jti = false;

  bool operator==(const RegistrationEntry&) const = default;
};

}  // namespace credence
