#include "base/h2/handler_run.h"

#include <optional>
#include <string>
#include <utility>

#include "base/core/task.h"

namespace credence::h2 {
namespace {

/// Part of the task's frame, so that the stream hears of every end.
class HandlerRun {
 public:
  explicit HandlerRun(std::shared_ptr<Stream> stream) : stream_(std::move(stream)) {}
  HandlerRun(HandlerRun&& other) noexcept = default;
  HandlerRun& operator=(HandlerRun&& other) noexcept = delete;
  ~HandlerRun() {
    if (stream_) {
      stream_->OnHandlerEnd(std::move(status_));
    }
  }

  const std::shared_ptr<Stream>& stream() const { return stream_; }
  void set_status(Status status) { status_ = std::move(status); }

 private:
  std::shared_ptr<Stream> stream_;
  std::optional<Status> status_;
};

Task<void> RunHandler(HandlerRun run) {
  Task<Status> serving = run.stream()->route().handler(run.stream());
  Status status = co_await std::move(serving);
  run.set_status(std::move(status));
}

}  // namespace

void SpawnHandler(TaskGroup& tasks, std::shared_ptr<Stream> stream) {
  asio::cancellation_signal& cancel =
      tasks.Spawn(std::string(stream->path()), RunHandler(HandlerRun(stream)));
  stream->OnHandlerStart(cancel);
}

}  // namespace credence::h2
