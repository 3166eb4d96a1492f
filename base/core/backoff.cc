#include "base/core/backoff.h"

#include <algorithm>

namespace credence {
namespace {

std::chrono::milliseconds Scale(std::chrono::milliseconds duration, double factor) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration * factor);
}

}  // namespace

Backoff::Backoff(Options options)
    : options_(options), planned_(options.initial), random_(std::random_device{}()) {}

std::chrono::milliseconds Backoff::Next() {
  const auto planned = planned_;
  planned_ = std::min(options_.cap, Scale(planned_, options_.factor));
  std::uniform_real_distribution<double> jitter(1 - options_.jitter, 1 + options_.jitter);
  return Scale(planned, jitter(random_));
}

std::chrono::milliseconds Jitter(std::chrono::milliseconds duration, double part) {
  // Spreading load needs no secrecy: one cheap generator per thread will do.
  thread_local std::minstd_rand random(std::random_device{}());
  std::uniform_real_distribution<double> factor(1 - part, 1 + part);
  return Scale(duration, factor(random));
}

}  // namespace credence
