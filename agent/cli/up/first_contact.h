#pragma once

#include <string>

#include "agent/cli/output.h"
#include "agent/cli/up/layout.h"
#include "base/core/result.h"

/// What `credence up` asks of the processes that it has started. Each of these uses gRPC and so
/// belongs into a process of its own: the supervisor stays small and without threads.
namespace credence {

/// Waits for the authority, and writes its bundle and, unless the agent has an SVID that is still
/// good, a join token where the agent's configuration expects them. Errors: kUnavailable when the
/// authority does not come up; those of its API and of files.
Result<void> PrepareAgent(const UpLayout& layout, const UpSettings& settings);

/// Waits until the agent has its first entries, then says what has been started and what to do
/// next. Errors: kUnavailable with what the agent waits for.
Result<void> Announce(const UpLayout& layout, const UpSettings& settings, OutputFormat format);

}  // namespace credence
