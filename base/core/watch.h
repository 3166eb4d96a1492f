#pragma once

#include <cstdint>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/core/task.h"

namespace credence {

/// A latest value that any number of tasks follow. Values set in quick succession coalesce: a slow
/// follower sees the newest and misses those between. Threads: the executor's thread only.
template <class T>
class Watch {
 public:
  Watch(asio::any_io_executor executor, T initial)
      : value_(std::move(initial)), changed_(std::move(executor), SteadyTime::max()) {}

  const T& value() const { return value_; }
  /// Grows by one with each Set; starts at 1, so that 0 means "seen nothing".
  std::uint64_t version() const { return version_; }

  void Set(T value) {
    value_ = std::move(value);
    ++version_;
    changed_.cancel();
  }

  /// Waits until version() != `seen` and returns the version then. Ends early only by cancellation.
  Task<std::uint64_t> Changed(std::uint64_t seen) {
    const bool changed = co_await ChangedUnlessCancelled(seen);
    if (!changed) {
      throw boost::system::system_error(asio::error::operation_aborted);
    }
    co_return version_;
  }

  /// The same, but false when cancelled, for tasks of which cancellation is the usual end: an
  /// exception is thrown anew in each coroutine that it passes through, some us each. Whoever gets
  /// false awaits nothing more.
  Task<bool> ChangedUnlessCancelled(std::uint64_t seen) {
    while (version_ == seen) {
      boost::system::error_code woken;
      co_await changed_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
      // Cancellation of this task and a wake-up look alike here; the state of the task tells them
      // apart.
      const auto state = co_await asio::this_coro::cancellation_state;
      if (state.cancelled() != asio::cancellation_type::none) {
        co_return false;
      }
    }
    co_return true;
  }

 private:
  T value_;
  std::uint64_t version_ = 1;
  asio::steady_timer changed_;
};

}  // namespace credence
