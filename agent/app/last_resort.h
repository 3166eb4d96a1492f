#pragma once

#include <chrono>

namespace credence {

/// Makes the process end with `exit_code` once `time` has passed, whatever its threads are blocked
/// in: a name look-up, a file on a server that is gone, a disk that does not answer. For the end of
/// the process only: it takes SIGALRM over and cannot be called off. A second call replaces both.
/// Threads: any.
void EndProcessAfter(std::chrono::milliseconds time, int exit_code);

}  // namespace credence
