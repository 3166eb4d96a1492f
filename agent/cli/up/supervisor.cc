#include "agent/cli/up/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ranges>
#include <utility>

#include <fmt/format.h>

#include "base/core/file.h"

namespace credence {
namespace {

constexpr std::chrono::seconds kStopTime{3};
constexpr std::chrono::seconds kFirstPause{1};
constexpr std::chrono::seconds kPreparationTime{20};
constexpr int kMostDoublings = 5;

/// Those that this process takes through its descriptor.
sigset_t TakenSignals() {
  sigset_t taken;
  sigemptyset(&taken);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD}) {
    sigaddset(&taken, number);
  }
  return taken;
}

/// The new process's part before its program. It ends with its parent.
void BecomeChild(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) {
    _exit(1);
  }
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

int StatusOf(int wait_status) {
  constexpr int kEndedBySignal = 128;
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : kEndedBySignal + WTERMSIG(wait_status);
}

}  // namespace

Result<Supervisor> Supervisor::Make() {
  const sigset_t taken = TakenSignals();
  if (pthread_sigmask(SIG_BLOCK, &taken, nullptr) != 0) {
    return Error(CodeFromErrno(errno), fmt::format("block signals: {}", ErrnoText(errno)));
  }
  UniqueFd signals(signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals.valid()) {
    return Error(CodeFromErrno(errno), fmt::format("watch signals: {}", ErrnoText(errno)));
  }
  return Supervisor(std::move(signals));
}

Supervisor::~Supervisor() {
  if (signals_.valid()) {
    Stop();
  }
}

Result<void> Supervisor::Start(Program program) {
  Process process{.program = std::move(program)};
  auto launched = Launch(process);
  if (launched.ok()) {
    processes_.push_back(std::move(process));
  }
  return launched;
}

Result<void> Supervisor::Launch(Process& process) {
  constexpr mode_t kLogMode = 0600;
  const UniqueFd log(open(process.program.log.c_str(),
                          O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
                          kLogMode));
  if (!log.valid()) {
    return Error(CodeFromErrno(errno),
                 fmt::format("open {}: {}", process.program.log, ErrnoText(errno)));
  }
  // Through the link, so that it is the very file that runs now, whatever stands at its path.
  std::vector<std::string> arguments{"credence"};
  const std::vector<std::string> own = process.program.arguments();
  arguments.insert(arguments.end(), own.begin(), own.end());
  std::vector<char*> pointers;
  for (std::string& argument : arguments) {
    pointers.push_back(argument.data());
  }
  pointers.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) {
    BecomeChild(parent);
    if (dup2(log.get(), STDOUT_FILENO) >= 0 && dup2(log.get(), STDERR_FILENO) >= 0) {
      execv("/proc/self/exe", pointers.data());
    }
    _exit(1);
  }
  if (pid < 0) {
    return Error(CodeFromErrno(errno),
                 fmt::format("start {}: {}", process.program.name, ErrnoText(errno)));
  }
  process.pid = pid;
  return Ok();
}

std::optional<int> Supervisor::RunAside(const std::function<int()>& work, Deadline deadline) {
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) {
    BecomeChild(parent);
    _exit(work());
  }
  if (pid < 0) {
    return std::nullopt;
  }
  Process aside{.program = {}, .pid = pid};
  while (!deadline.Passed()) {
    const Event event = AwaitEvent(deadline);
    if (const auto status = Reap(aside)) {
      return status;
    }
    const bool another_ended =
        std::any_of(processes_.begin(), processes_.end(), [this](Process& process) {
          const auto status = Reap(process);
          if (status) {
            NoteEnd(process, *status);
          }
          return status.has_value();
        });
    if (event == Event::kStop || another_ended) {
      break;
    }
  }
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  return std::nullopt;
}

Supervisor::Event Supervisor::AwaitEvent(std::optional<Deadline> until) {
  pollfd watched{signals_.get(), POLLIN, 0};
  int wait = -1;
  if (until) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until->Remaining()).count();
    wait = static_cast<int>(std::min<std::int64_t>(left, 3'600'000));
  }
  poll(&watched, 1, wait);
  signalfd_siginfo info{};
  if (read(signals_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info)) {
    return Event::kTimeout;
  }
  switch (static_cast<int>(info.ssi_signo)) {
    case SIGCHLD:
      return Event::kChild;
    case SIGHUP:
      return Event::kHangUp;
    case SIGUSR2:
      return Event::kReopenLogs;
    default:
      asked_to_stop_ = true;
      return Event::kStop;
  }
}

std::optional<Supervisor::ExitStatus> Supervisor::Reap(Process& process) {
  int status = 0;
  if (process.pid == 0 || waitpid(process.pid, &status, WNOHANG) != process.pid) {
    return std::nullopt;
  }
  process.pid = 0;
  return StatusOf(status);
}

void Supervisor::NoteEnd(Process& process, ExitStatus status) {
  last_end_ = fmt::format("the {} ended with exit code {}; its log is {}",
                          process.program.name,
                          status,
                          process.program.log);
  last_status_ = status;
  process.failures = std::min(process.failures + 1, kMostDoublings);
  process.start_again = Deadline::After(kFirstPause * (1 << (process.failures - 1)));
}

std::optional<Supervisor::ExitStatus> Supervisor::Tend(
    Process& process, const std::function<bool(ExitStatus)>& is_final) {
  if (const auto status = Reap(process)) {
    NoteEnd(process, *status);
    if (is_final(*status)) {
      return status;
    }
  }
  if (process.pid != 0 || !process.start_again.Passed()) {
    return std::nullopt;
  }
  if (process.program.prepare) {
    (void)RunAside(process.program.prepare, Deadline::After(kPreparationTime));
  }
  if (asked_to_stop_ || !Launch(process).ok()) {
    process.start_again = Deadline::After(kFirstPause);
  }
  return std::nullopt;
}

Supervisor::ExitStatus Supervisor::Watch(const std::function<bool(ExitStatus)>& is_final) {
  while (true) {
    std::optional<Deadline> next;
    for (Process& process : processes_) {
      if (const auto final_status = Tend(process, is_final)) {
        return *final_status;
      }
      if (process.pid == 0) {
        next = next ? next->Earlier(process.start_again) : process.start_again;
      }
    }
    if (asked_to_stop_) {
      return 0;
    }
    const Event event = AwaitEvent(next);
    if (event == Event::kStop) {
      return 0;
    }
    if (event == Event::kHangUp) {
      PassOn(SIGHUP);
    } else if (event == Event::kReopenLogs) {
      PassOn(SIGUSR2);
    }
  }
}

void Supervisor::PassOn(int number) const {
  for (const Process& process : processes_) {
    if (process.pid != 0) {
      kill(process.pid, number);
    }
  }
}

void Supervisor::Stop() {
  for (Process& process : processes_ | std::views::reverse) {
    if (process.pid == 0) {
      continue;
    }
    kill(process.pid, SIGTERM);
    const Deadline end = Deadline::After(kStopTime);
    while (!Reap(process) && !end.Passed()) {
      AwaitEvent(end);
    }
    if (process.pid != 0) {
      kill(process.pid, SIGKILL);
      waitpid(process.pid, nullptr, 0);
      process.pid = 0;
    }
  }
}

}  // namespace credence
