#pragma once

#include <chrono>
#include <optional>

#include "base/core/clock.h"
#include "plugins/contract/destination_adapter.h"

namespace credence {

/// When a credential that was handed out for at most `max_ttl` ends: the vendor's expiry or the
/// limit counted from its issue, whichever is earlier.
WallTime LimitedExpiry(const Credential& credential,
                       std::optional<std::chrono::milliseconds> max_ttl);

/// What to do with a credential at a given time. Pure.
struct CredentialLife {
  WallTime issued_at;
  WallTime expires_at;

  /// Time kept free before the expiry, for the way to the vendor: a tenth of the life, at most 30
  /// s.
  std::chrono::nanoseconds Margin() const;
  /// Handed out from the cache until then.
  WallTime ServedUntil() const {
    return expires_at - std::chrono::duration_cast<WallTime::duration>(Margin());
  }
  /// Two thirds into the served part, moved by up to a tenth of it as `spread` in [-1, 1] says.
  WallTime RefreshAt(double spread) const;

  /// Not over. One from the future is not: its clock was set back since, and nobody here knows how
  /// much of it is left.
  bool Alive(WallTime now) const;
  /// Whether the cache may answer a caller who wants `min_ttl`: enough is left, or about as much as
  /// a fresh one would have (four fifths of the life).
  bool Serves(WallTime now, std::chrono::seconds min_ttl) const;
};

}  // namespace credence
