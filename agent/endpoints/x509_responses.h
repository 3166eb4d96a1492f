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

  /// What is done while entries have no valid X509-SVID.
  enum class Missing {
    /// Nothing is sent: a stream begins with all of them, if they come soon.
    kAwaited,
    /// The others are served: an entry that the server refuses keeps no renewal from them.
    kLeftOut,
  };

  /// The state for `entries`, all that a caller has; null if there is nothing to send.
  /// Errors: kResourceExhausted when it is too large for a message.
  Result<SharedSecret> For(const std::vector<SharedEntry>& entries, Missing missing);

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
  /// By entry ids, and which of them are left out.
  std::map<std::string, Built> built_;
};

}  // namespace credence
