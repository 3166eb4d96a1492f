#include "agent/exchange/circuit.h"

#include <algorithm>

namespace credence {

bool Circuit::Allow(SteadyTime now) {
  if (!open()) {
    return true;
  }
  if (trial_ || now < next_trial_) {
    return false;
  }
  trial_ = true;
  return true;
}

void Circuit::Succeeded() {
  failures_ = 0;
  wait_ = options_.wait;
  trial_ = false;
}

void Circuit::Failed(SteadyTime now) {
  const bool was_open = open();
  if (was_open && !trial_) {
    return;  // a call from before it opened
  }
  ++failures_;
  if (was_open) {
    wait_ = std::min(wait_ * 2, options_.max_wait);
  }
  trial_ = false;
  next_trial_ = now + wait_;
}

}  // namespace credence
