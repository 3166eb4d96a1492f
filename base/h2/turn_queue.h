#pragma once

#include <cstdint>
#include <memory>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>

#include "base/core/task.h"
#include "base/h2/fair_queue.h"

namespace credence::h2 {

/// Spreads work over the turns of the event loop: so many pieces run in one turn, and when more
/// come, each group gets its share. Work that comes alone runs at once. Threads: core thread.
class TurnQueue {
 public:
  TurnQueue(asio::any_io_executor executor, int per_turn)
      : executor_(std::move(executor)), per_turn_(per_turn), left_(per_turn) {}
  TurnQueue(const TurnQueue&) = delete;
  TurnQueue& operator=(const TurnQueue&) = delete;

  /// True: do the work now. False: this turn is full, Wait() for the next.
  [[nodiscard]] bool TakesNow();
  /// Ends when it is the turn of this `member` of `group`, which is soon and always, also after a
  /// cancellation.
  Task<void> Wait(std::uint64_t group, std::uint64_t member);

 private:
  using Waiter = asio::any_completion_handler<void()>;

  void PostTurn();
  void RunTurn();

  asio::any_io_executor executor_;
  int per_turn_;
  int left_;
  bool posted_ = false;
  FairQueue<Waiter> waiting_;
  /// Goes with this object; a turn that was posted before looks for it.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace credence::h2
