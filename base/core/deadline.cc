#include "base/core/deadline.h"

namespace credence {

Deadline Deadline::After(std::chrono::nanoseconds timeout) {
  const SteadyTime now = std::chrono::steady_clock::now();
  const auto wanted = std::chrono::duration_cast<SteadyTime::duration>(timeout);
  return Deadline(wanted < SteadyTime::max() - now ? now + wanted : SteadyTime::max());
}

std::chrono::nanoseconds Deadline::Remaining() const {
  return std::max(std::chrono::nanoseconds(0),
                  std::chrono::duration_cast<std::chrono::nanoseconds>(
                      time_ - std::chrono::steady_clock::now()));
}

}  // namespace credence
