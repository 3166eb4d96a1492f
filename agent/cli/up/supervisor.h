#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/core/unique_fd.h"

namespace credence {

/// Runs this program again as other processes and keeps them running. They end when this process
/// does, however it ends. One at a time in a process, before any thread: signals are taken by it
/// alone. Sleeps in between.
class Supervisor {
 public:
  /// How a process ended: its exit code, or 128 + the signal.
  using ExitStatus = int;

  /// Errors: as CodeFromErrno.
  static Result<Supervisor> Make();
  Supervisor(Supervisor&&) = default;
  Supervisor& operator=(Supervisor&&) = delete;
  /// Stops what runs.
  ~Supervisor();

  /// What to start: `credence ARGUMENTS...`.
  struct Program {
    std::string name;
    /// Asked before each start.
    std::function<std::vector<std::string>()> arguments;
    /// What it says on standard output and error goes here; opened for appending, mode 0600.
    std::string log;
    /// Run aside before each start but the first, for 20 s at most; its exit code is passed over.
    /// May be null.
    std::function<int()> prepare;
  };
  /// Errors: those of files; kInternal.
  Result<void> Start(Program program);
  /// Runs `work` in a process of its own and waits for it until `deadline`; its exit code, or
  /// nullopt when it had to be killed or a signal came that asks to stop, or one of the processes
  /// ended.
  std::optional<int> RunAside(const std::function<int()>& work, Deadline deadline);

  /// Waits until SIGTERM or SIGINT (0), or until a process ends in a way that starting it again
  /// cannot mend (`is_final`), whose status it returns. Others are started again, later each time.
  /// SIGHUP and SIGUSR2 are passed on to all.
  ExitStatus Watch(const std::function<bool(ExitStatus)>& is_final);
  /// A signal that asks to stop has come.
  bool asked_to_stop() const { return asked_to_stop_; }
  /// Says in words which process ended last and how; "" if none has.
  const std::string& last_end() const { return last_end_; }
  /// Its status; nullopt if none has.
  std::optional<ExitStatus> last_status() const { return last_status_; }
  /// SIGTERM to all in the reverse order of their starts, each with three seconds, then SIGKILL.
  void Stop();

 private:
  struct Process {
    Program program;
    pid_t pid = 0;
    int failures = 0;
    Deadline start_again = Deadline::After(std::chrono::nanoseconds(0));
  };
  enum class Event { kStop, kChild, kHangUp, kReopenLogs, kTimeout };

  explicit Supervisor(UniqueFd signals) : signals_(std::move(signals)) {}

  Result<void> Launch(Process& process);
  Event AwaitEvent(std::optional<Deadline> until);
  /// The status of a process that has ended meanwhile.
  std::optional<ExitStatus> Reap(Process& process);
  void NoteEnd(Process& process, ExitStatus status);
  /// Starts it again if it has ended and the time has come; its status if that is final.
  std::optional<ExitStatus> Tend(Process& process, const std::function<bool(ExitStatus)>& is_final);
  void PassOn(int number) const;

  UniqueFd signals_;
  std::vector<Process> processes_;
  std::string last_end_;
  std::optional<ExitStatus> last_status_;
  bool asked_to_stop_ = false;
};

}  // namespace credence
