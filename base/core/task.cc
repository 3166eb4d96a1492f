#include "base/core/task.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

namespace credence {

Task<void> SleepUntil(Deadline deadline) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor, deadline.time());
  co_await timer.async_wait(asio::use_awaitable);
}

Task<void> Sleep(std::chrono::nanoseconds duration) {
  co_await SleepUntil(Deadline::After(duration));
}

}  // namespace credence
