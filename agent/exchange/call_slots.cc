#include "agent/exchange/call_slots.h"

#include <fmt/format.h>

namespace credence {

/// A place in the queue. Leaving it, for whatever reason, loses no slot.
class CallSlots::Waiter {
 public:
  explicit Waiter(std::shared_ptr<State> state) : state_(std::move(state)) {
    place_ = state_->waiting.insert(state_->waiting.end(), this);
  }
  ~Waiter() {
    if (!granted_) {
      state_->waiting.erase(place_);
    } else if (!taken_) {
      state_->Release();
    }
  }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  /// The granter has taken this waiter off the list.
  void Grant() {
    granted_ = true;
    latch_.Set();
  }
  bool granted() const { return granted_; }
  Latch& latch() { return latch_; }

  Permit Take() {
    taken_ = true;
    return Permit(state_);
  }

 private:
  std::shared_ptr<State> state_;
  std::list<Waiter*>::iterator place_;
  Latch latch_;
  bool granted_ = false;
  bool taken_ = false;
};

void CallSlots::State::Release() {
  if (waiting.empty()) {
    --running;
    return;
  }
  Waiter* next = waiting.front();
  waiting.pop_front();
  next->Grant();
}

CallSlots::Permit::~Permit() {
  if (state_) {
    state_->Release();
  }
}

CallSlots::CallSlots(std::size_t limit, std::size_t max_waiting)
    : state_(std::make_shared<State>(State{.limit = limit, .max_waiting = max_waiting})) {}

Task<Result<CallSlots::Permit>> CallSlots::Acquire(Deadline deadline) {
  if (state_->running < state_->limit) {
    ++state_->running;
    co_return Permit(state_);
  }
  if (state_->waiting.size() >= state_->max_waiting) {
    co_return Error(Code::kResourceExhausted,
                    fmt::format("{} calls wait already", state_->waiting.size()));
  }
  Waiter waiter(state_);
  co_await waiter.latch().Wait(deadline);
  if (!waiter.granted()) {
    co_return Error(Code::kDeadlineExceeded, "waited too long for the calls before it");
  }
  co_return waiter.Take();
}

}  // namespace credence
