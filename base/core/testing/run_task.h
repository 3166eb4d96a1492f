#pragma once

#include <chrono>
#include <exception>
#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "base/core/check.h"
#include "base/core/task.h"

namespace credence {

/// Runs `task` on `io` until it ends; rethrows what it threw. Terminates the test program when the
/// task is not finished within `bound`: a hang is a failure, not a wait.
inline void RunTask(asio::io_context& io,
                    Task<void> task,
                    std::chrono::seconds bound = std::chrono::seconds(20)) {
  std::exception_ptr thrown;
  bool done = false;
  asio::co_spawn(io, std::move(task), [&](std::exception_ptr error) {
    thrown = std::move(error);
    done = true;
    io.stop();
  });
  io.restart();
  io.run_for(bound);
  CREDENCE_CHECK(done);
  if (thrown) {
    std::rethrow_exception(thrown);
  }
}

namespace detail {

template <class T>
Task<void> StoreIn(Task<T> task, std::optional<T>* value) {
  value->emplace(co_await std::move(task));
}

}  // namespace detail

/// The same for a task with a value, which is returned.
template <class T>
T RunTask(asio::io_context& io,
          Task<T> task,
          std::chrono::seconds bound = std::chrono::seconds(20)) {
  std::optional<T> value;
  RunTask(io, detail::StoreIn(std::move(task), &value), bound);
  return *std::move(value);
}

/// The same on a private io_context.
template <class T>
T RunTask(Task<T> task, std::chrono::seconds bound = std::chrono::seconds(20)) {
  asio::io_context io;
  return RunTask(io, std::move(task), bound);
}

}  // namespace credence
