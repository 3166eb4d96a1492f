#include "agent/exchange/credential_life.h"

#include <algorithm>

namespace credence {
namespace {

using std::chrono::nanoseconds;

constexpr nanoseconds kMaxMargin = std::chrono::seconds(30);
/// By how much a clock is set back in its ordinary course.
constexpr std::chrono::seconds kClockSlack(1);

WallTime Later(WallTime time, nanoseconds by) {
  return time + std::chrono::duration_cast<WallTime::duration>(by);
}

}  // namespace

WallTime LimitedExpiry(const Credential& credential,
                       std::optional<std::chrono::milliseconds> max_ttl) {
  if (!max_ttl) {
    return credential.expires_at;
  }
  return std::min(credential.expires_at, Later(credential.issued_at, *max_ttl));
}

nanoseconds CredentialLife::Margin() const {
  const nanoseconds life = expires_at - issued_at;
  return std::clamp(life / 10, nanoseconds(0), kMaxMargin);
}

WallTime CredentialLife::RefreshAt(double spread) const {
  const nanoseconds served = ServedUntil() - issued_at;
  const auto moved = std::chrono::duration_cast<nanoseconds>(served * (spread / 10.0));
  return Later(issued_at, served * 2 / 3 + moved);
}

bool CredentialLife::Alive(WallTime now) const {
  return now + kClockSlack >= issued_at && now < expires_at;
}

bool CredentialLife::Serves(WallTime now, std::chrono::seconds min_ttl) const {
  if (!Alive(now) || now >= ServedUntil()) {
    return false;
  }
  // Callers may ask for any number of seconds; more than this would not fit into nanoseconds.
  constexpr std::chrono::seconds kMost = std::chrono::hours(24 * 365);
  const nanoseconds life = expires_at - issued_at;
  const nanoseconds wanted =
      std::min<nanoseconds>(std::clamp(min_ttl, std::chrono::seconds(0), kMost), life / 5 * 4);
  return nanoseconds(expires_at - now) >= wanted;
}

}  // namespace credence
