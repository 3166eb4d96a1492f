#include "base/wire/flood_guard.h"

#include <algorithm>
#include <chrono>

#include <nghttp2/nghttp2.h>

namespace credence::h2 {
namespace {

/// What time gives back at most.
constexpr std::int32_t kMostPoints = 1000;
/// What calls give at most: the answers to many that were sent at once may come at once.
constexpr std::int32_t kMostPointsOfCalls = 16'000;
constexpr std::chrono::milliseconds kTimePerPoint{10};
// grpc-go sends a PING and up to two WINDOW_UPDATEs for each DATA frame it reads.
constexpr std::int32_t kAnswerFramePoints = 4;
constexpr std::int32_t kMessagePoints = 2;
/// DATA of this size is content; below it, frames are counted.
constexpr std::uint32_t kFairDataBytes = 256;
/// What is in flight when we end a call arrives for nobody: a whole stream window has to cost
/// little.
constexpr std::size_t kUselessBytesPerPoint = 1024;

std::int32_t Cost(std::uint8_t type, std::uint8_t flags, std::uint32_t length) {
  const bool ack = (flags & NGHTTP2_FLAG_ACK) != 0;
  switch (type) {
    case NGHTTP2_DATA:
      if (length == 0 && (flags & NGHTTP2_FLAG_END_STREAM) == 0) {
        return 4;
      }
      return length < kFairDataBytes ? 1 : 0;
    case NGHTTP2_SETTINGS:
      return ack ? 1 : 20;
    case NGHTTP2_PING:
    case NGHTTP2_RST_STREAM:
      return 2;
    default:
      return 1;
  }
}

}  // namespace

bool FloodGuard::OnFrame(std::uint8_t type,
                         std::uint8_t flags,
                         std::uint32_t length,
                         SteadyTime now) {
  return Spend(Cost(type, flags, length), now);
}

bool FloodGuard::OnUselessBytes(std::size_t bytes, SteadyTime now) {
  const std::size_t points = std::min<std::size_t>(1 + bytes / kUselessBytesPerPoint, kMostPoints);
  return Spend(static_cast<std::int32_t>(points), now);
}

bool FloodGuard::Spend(std::int32_t points, SteadyTime now) {
  const auto earned = (now - refilled_) / kTimePerPoint;
  if (earned > 0) {
    refilled_ += earned * kTimePerPoint;
    const auto given = static_cast<std::int32_t>(std::min<std::int64_t>(earned, kMostPoints));
    points_ = std::max(points_, std::min(kMostPoints, points_ + given));
  }
  points_ -= points;
  return points_ >= 0;
}

void FloodGuard::OnCallFrameSent() {
  Earn(kAnswerFramePoints);
}

void FloodGuard::OnMessageTaken() {
  Earn(kMessagePoints);
}

void FloodGuard::Earn(std::int32_t points) {
  points_ = std::min(kMostPointsOfCalls, points_ + points);
}

}  // namespace credence::h2
