#pragma once

#include <cstddef>
#include <cstdint>

#include "base/core/clock.h"

namespace credence::h2 {

/// Tells a peer that works from one that only keeps us busy. Frames that cost us something and
/// ask for nothing (PING, SETTINGS, RST_STREAM, WINDOW_UPDATE, tiny DATA ...) spend points;
/// frames of calls that we send and messages taken give points back, because peers send a few such
/// frames with each of those; time gives a few back as well. Pure.
class FloodGuard {
 public:
  explicit FloodGuard(SteadyTime now) : refilled_(now) {}

  /// Counts one received frame by its header. False: the points are spent, close the connection.
  [[nodiscard]] bool OnFrame(std::uint8_t type,
                             std::uint8_t flags,
                             std::uint32_t length,
                             SteadyTime now);
  /// Counts `bytes` that came at once and held nothing: no frame that OnFrame saw, no header field,
  /// no DATA. So arrive frames of unknown types, and frames in crumbs. False as above.
  [[nodiscard]] bool OnUselessBytes(std::size_t bytes, SteadyTime now);
  /// We sent a HEADERS or DATA frame of a call.
  void OnCallFrameSent();
  /// A message was taken by whom it is for.
  void OnMessageTaken();

 private:
  [[nodiscard]] bool Spend(std::int32_t points, SteadyTime now);
  void Earn(std::int32_t points);

  std::int32_t points_ = 1000;
  SteadyTime refilled_;
};

}  // namespace credence::h2
