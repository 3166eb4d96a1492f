#include "base/h2/turn_queue.h"

#include <utility>

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace credence::h2 {

bool TurnQueue::TakesNow() {
  if (left_ == 0 || !waiting_.empty()) {
    return false;
  }
  --left_;
  PostTurn();
  return true;
}

Task<void> TurnQueue::Wait(std::uint64_t group, std::uint64_t member) {
  auto enqueue = [this, group, member](auto waiter) {
    waiting_.Push(group, member, Waiter(std::move(waiter)));
    PostTurn();
  };
  co_await asio::async_initiate<decltype(asio::use_awaitable), void()>(std::move(enqueue),
                                                                       asio::use_awaitable);
}

void TurnQueue::PostTurn() {
  if (!std::exchange(posted_, true)) {
    asio::post(executor_, [this, alive = std::weak_ptr<bool>(alive_)] {
      if (!alive.expired()) {
        RunTurn();
      }
    });
  }
}

void TurnQueue::RunTurn() {
  posted_ = false;
  left_ = per_turn_;
  while (left_ > 0) {
    auto next = waiting_.Pop();
    if (!next) {
      return;
    }
    --left_;
    std::move (*next)();
  }
  if (!waiting_.empty()) {
    PostTurn();
  }
}

}  // namespace credence::h2
