#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/cli/held_state.h"
#include "base/core/result.h"
#include "base/core/unique_fd.h"

namespace credence {

/// A command that runs in our place: it has our standard streams, gets the signals we get, and its
/// exit code becomes ours.
class ChildProcess {
 public:
  /// Starts `command` (found on PATH) with this environment changed by `set` and `unset`, and with
  /// the signals and limits that we had before `held`. From now on signals that end a process are
  /// passed on to it instead of ending us. Errors: kNotFound (no such command), kPermissionDenied
  /// (not executable), as CodeFromErrno.
  static Result<ChildProcess> Start(const std::vector<std::string>& command,
                                    const std::map<std::string, std::string>& set,
                                    const std::set<std::string>& unset,
                                    const HeldState& held);

  /// Passes signals on until the command ends or `duration` of wall-clock time is over, in which
  /// time that the machine is suspended counts. Its exit code (128 + signal if a signal ended it);
  /// nullopt if it still runs, which may be early: look at the clock again, somebody may have set
  /// it.
  std::optional<int> Wait(std::chrono::nanoseconds duration);

  /// Descriptors of which one is readable when there is something for Wait to do.
  std::vector<int> events() const { return {pidfd_.get(), signals_.get()}; }

 private:
  ChildProcess(pid_t pid, UniqueFd pidfd, UniqueFd signals)
      : pid_(pid), pidfd_(std::move(pidfd)), signals_(std::move(signals)) {}

  void PassSignalOn() const;

  pid_t pid_;
  UniqueFd pidfd_;
  UniqueFd signals_;
};

}  // namespace credence
