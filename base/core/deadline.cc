#include "base/core/deadline.h"

namespace credence {

Deadline Deadline::After(std::chrono::nanoseconds timeout) {
  return Deadline(std::chrono::steady_clock::now() + std::chrono::duration_cast<SteadyTime::duration>(timeout));
}

std::chrono::nanoseconds Deadline::Remaining() const {
  return std::max(std::chrono::nanoseconds(0),
                  std::chrono::duration_cast<std::chrono::nanoseconds>(time_ - std::chrono::steady_clock::now()));
}

}  // namespace credence
