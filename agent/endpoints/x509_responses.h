#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/identity/identity_store.h"
#include "base/core/clock.h"
#include "base/core/secret_bytes.h"

namespace credence {

/// Builds FetchX509SVID responses and shares one among all callers with the same entries, so that a
/// thousand streams of one workload hold one copy. Threads: core thread.
class X509Responses {
 public:
  X509Responses(IdentityStore& store, const Clock& clock) : store_(store), clock_(clock) {}

  /// The whole state for `entries` (not empty); null while some entry has no valid X509-SVID yet.
  /// Errors: kResourceExhausted when it is too large for a message.
  Result<SharedSecret> For(const std::vector<SharedEntry>& entries);

 private:
  struct Built {
    SharedSecret message;
    /// Of the SVID in it that ends first.
    WallTime valid_until;
  };

  IdentityStore& store_;
  const Clock& clock_;
  /// What `built_` was built from; any change empties it.
  std::uint64_t version_ = 0;
  /// By entry ids.
  std::map<std::string, Built> built_;
};

}  // namespace credence
