#pragma once

#include <signal.h>
#include <sys/resource.h>

#include <optional>

#include "base/core/unique_fd.h"

namespace credence {

/// What this process changes of itself to hold a credential on behalf of a command, and how it was
/// before: the command starts with that. Blocked from now on are the signals that a ChildProcess
/// passes on, and those of a write that fails: nobody may be left to read our messages while the
/// command still needs us. SIGCHLD is not ignored any more, for the command neither. A crash of
/// ours leaves no core. Make one before any library starts a thread: a signal that reaches a thread
/// which does not block it ends us and leaves the command alone.
class HeldState {
 public:
  HeldState();

  const sigset_t& signals_before() const { return signals_before_; }
  const rlimit& core_limit_before() const { return core_limit_before_; }

  /// A signal that asks us to end and waits to be taken.
  std::optional<int> EndingSignal() const;
  /// Readable while there is one; -1 if the system gave none.
  int ending_fd() const { return ending_fd_.get(); }

 private:
  sigset_t signals_before_{};
  rlimit core_limit_before_{};
  sigset_t ending_{};
  UniqueFd ending_fd_;
};

/// The signals that a ChildProcess passes on: whatever would end us and leaves us a choice.
sigset_t PassedOnSignals();

}  // namespace credence
