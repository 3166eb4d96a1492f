#pragma once

#include <signal.h>
#include <sys/types.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/core/unique_fd.h"

namespace credence {

/// Blocks, from now on, the signals that a ChildProcess passes on. Make one before any library
/// starts a thread: a signal that reaches a thread which does not block it ends us and leaves the
/// command alone.
class HeldSignals {
 public:
  HeldSignals();

  /// What was blocked before; the command starts with it.
  const sigset_t& before() const { return before_; }

 private:
  sigset_t before_{};
};

/// A command that runs in our place: it has our standard streams, gets the signals we get, and its
/// exit code becomes ours.
class ChildProcess {
 public:
  /// Starts `command` (found on PATH) with this environment changed by `set` and `unset`. From now
  /// on signals that end a process are passed on to it instead of ending us. Errors: kNotFound (no
  /// such command), kPermissionDenied (not executable), as CodeFromErrno.
  static Result<ChildProcess> Start(const std::vector<std::string>& command,
                                    const std::map<std::string, std::string>& set,
                                    const std::set<std::string>& unset,
                                    const HeldSignals& held);

  /// Passes signals on until the command ends or `until`. Its exit code (128 + signal if a signal
  /// ended it), or nullopt at `until`.
  std::optional<int> Wait(Deadline until);

 private:
  ChildProcess(pid_t pid, UniqueFd pidfd, UniqueFd signals)
      : pid_(pid), pidfd_(std::move(pidfd)), signals_(std::move(signals)) {}

  void PassSignalOn() const;

  pid_t pid_;
  UniqueFd pidfd_;
  UniqueFd signals_;
};

}  // namespace credence
