#pragma once

#include <chrono>
#include <exception>
#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "base/core/check.h"
#include "base/core/task.h"

namespace credence {

/// Runs `task` on `io` until it ends and returns what it returned; rethrows what it threw. Terminates the test
/// program when the task is not finished within `bound`: a hang is a failure, not a wait.
template <class T>
T RunTask(asio::io_context& io, Task<T> task, std::chrono::seconds bound = std::chrono::seconds(20)) {
  std::optional<T> value;
  std::exception_ptr thrown;
  bool done = false;
  asio::co_spawn(io, std::move(task), [&](std::exception_ptr error, T result) {
    thrown = std::move(error);
    value = std::move(result);
    done = true;
    io.stop();
  });
  io.restart();
  io.run_for(bound);
  CREDENCE_CHECK(done);
  if (thrown) {
    std::rethrow_exception(thrown);
  }
  return *std::move(value);
}

inline void RunTask(asio::io_context& io, Task<void> task, std::chrono::seconds bound = std::chrono::seconds(20)) {
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

/// The same on a private io_context.
template <class T>
T RunTask(Task<T> task, std::chrono::seconds bound = std::chrono::seconds(20)) {
  asio::io_context io;
  return RunTask(io, std::move(task), bound);
}

}  // namespace credence
