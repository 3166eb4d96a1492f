#include "base/core/task_group.h"

#include <exception>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/multiple_exceptions.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>

#include "base/core/check.h"
#include "base/core/log.h"

namespace credence {
namespace {

/// Awaiting an empty post first keeps a spawned task from running inside its spawner.
Task<void> StartLater(Task<void> task) {
  const auto executor = co_await asio::this_coro::executor;
  co_await asio::post(executor, asio::use_awaitable);
  co_await std::move(task);
}

/// "" for a cancellation, which is an ordinary end; else what the exception says.
std::string DescribeFailure(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const asio::multiple_exceptions& both) {
    // Two operations raced and both were cancelled.
    return DescribeFailure(both.first_exception());
  } catch (const boost::system::system_error& failure) {
    return failure.code() == asio::error::operation_aborted ? "" : failure.what();
  } catch (const std::exception& failure) {
    return failure.what();
  }
}

}  // namespace

TaskGroup::TaskGroup(asio::any_io_executor executor)
    : executor_(std::move(executor)), idle_(executor_, SteadyTime::max()) {}

TaskGroup::~TaskGroup() {
  CREDENCE_CHECK(running_.empty());
}

asio::cancellation_signal& TaskGroup::Spawn(std::string name, Task<void> task) {
  const auto entry = running_.emplace(running_.end());
  entry->name = std::move(name);
  asio::co_spawn(
      executor_,
      StartLater(std::move(task)),
      asio::bind_cancellation_slot(entry->cancel.slot(), [this, entry](std::exception_ptr error) {
        Ended(entry, std::move(error));
      }));
  return entry->cancel;
}

void TaskGroup::Ended(std::list<Running>::iterator task, std::exception_ptr error) {
  if (error) {
    if (const std::string failure = DescribeFailure(error); !failure.empty()) {
      LogError("Task ended by an unexpected exception", {{"task", task->name}, {"error", failure}});
    }
  }
  running_.erase(task);
  if (running_.empty()) {
    idle_.cancel();
  }
}

void TaskGroup::Cancel() {
  // emit() may end a task at once and erase its entry: step first.
  for (auto task = running_.begin(); task != running_.end();) {
    const auto current = task++;
    current->cancel.emit(asio::cancellation_type::terminal);
  }
}

Task<void> TaskGroup::Stop() {
  while (!running_.empty()) {
    Cancel();
    boost::system::error_code ignored;
    co_await idle_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

}  // namespace credence
