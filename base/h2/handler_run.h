#pragma once

#include <memory>

#include "base/core/task_group.h"
#include "base/h2/stream.h"

namespace credence::h2 {

/// Runs the handler of `stream` in `tasks`; the stream learns how it ended, also if it is cancelled
/// or never starts.
void SpawnHandler(TaskGroup& tasks, std::shared_ptr<Stream> stream);

}  // namespace credence::h2
