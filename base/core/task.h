#pragma once

#include <chrono>
#include <concepts>
#include <type_traits>
#include <utility>
#include <variant>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/core/deadline.h"
#include "base/core/result.h"

/// Coroutines of this project: a Task runs on the one core thread unless its name says otherwise.
/// Rules that the compiler does not enforce (GCC 12 and Asio, each of them reproduced):
///  - name an awaited value before using it: no co_await in a ternary or an argument list;
///  - no capturing lambda as a coroutine; parameters by value;
///  - a cancelled operation fails once with operation_aborted and the next co_await throws: no
///  awaiting
///    clean-up on the way out.
namespace credence {

namespace asio = boost::asio;

template <class T>
using Task = asio::awaitable<T>;

/// Waits; ends early only by cancellation.
Task<void> Sleep(std::chrono::nanoseconds duration);
/// Waits until `deadline`.
Task<void> SleepUntil(Deadline deadline);

/// Runs `op`; at `deadline` cancels it, waits for it to stop, then fails.
/// Errors: those of `op`; kDeadlineExceeded.
template <class T>
Task<Result<T>> WithDeadline(Deadline deadline, Task<Result<T>> op) {
  using boost::asio::experimental::awaitable_operators::operator||;
  auto first = co_await (std::move(op) || SleepUntil(deadline));
  if (auto* result = std::get_if<0>(&first)) {
    co_return std::move(*result);
  }
  co_return Error(Code::kDeadlineExceeded, "deadline reached");
}

/// Runs `work` (which blocks: procfs, hashing, key generation) on `pool` and resumes the caller
/// where it was. `work` runs to its end even if the caller is cancelled meanwhile, so it must own
/// what it touches. `pool` must be joined before the caller's io_context is destroyed: declare it
/// after.
template <std::invocable Work>
Task<std::invoke_result_t<Work>> RunOn(asio::thread_pool& pool, Work work) {
  using T = std::invoke_result_t<Work>;
  auto initiate = [&pool](auto handler, Work job) {
    auto home = asio::get_associated_executor(handler);
    asio::post(pool,
               [handler = std::move(handler),
                job = std::move(job),
                guard = asio::make_work_guard(home)]() mutable {
                 T value = job();
                 auto executor = guard.get_executor();
                 asio::dispatch(executor,
                                [handler = std::move(handler), value = std::move(value)]() mutable {
                                  std::move(handler)(std::move(value));
                                });
               });
  };
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(T)>(
      initiate, asio::use_awaitable, std::move(work));
}

}  // namespace credence
