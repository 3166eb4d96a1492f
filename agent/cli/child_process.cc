#include "agent/cli/child_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/core/file.h"
#include "base/core/secret_bytes.h"
#include "base/core/wall_clock.h"

namespace credence {
namespace {

Error CannotRun(const std::string& command, int error_number) {
  return Error(CodeFromErrno(error_number),
               fmt::format("run {}: {}", command, ErrnoText(error_number)));
}

std::vector<std::string> MakeEnvironment(const std::map<std::string, std::string>& set,
                                         const std::set<std::string>& unset) {
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string name(text.substr(0, text.find('=')));
    if (!set.contains(name) && !unset.contains(name)) {
      environment.emplace_back(text);
    }
  }
  for (const auto& [name, value] : set) {
    environment.push_back(name + "=" + value);
  }
  return environment;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) {
    pointers.push_back(text.data());
  }
  pointers.push_back(nullptr);
  return pointers;
}

/// What the terminal sends to all of its foreground group, the command too. A hang-up it sends to
/// the leader of the session alone, which may be us. Source: setsid(2), tty_jobctrl.c of the
/// kernel.
bool ReachesTheCommandAnyway(const signalfd_siginfo& info) {
  const auto number = static_cast<int>(info.ssi_signo);
  return info.ssi_code == SI_KERNEL &&
         (number == SIGINT || number == SIGQUIT || number == SIGWINCH);
}

/// The child's part, between fork and its new program: system calls only, as other threads of ours
/// may have held any lock. Writes what failed to `report`.
[[noreturn]] void Become(char* const* arguments,
                         char* const* environment,
                         const HeldState& held,
                         int report) {
  setrlimit(RLIMIT_CORE, &held.core_limit_before());
  pthread_sigmask(SIG_SETMASK, &held.signals_before(), nullptr);
  execvpe(arguments[0], arguments, environment);
  const int error_number = errno;
  const ssize_t written = write(report, &error_number, sizeof error_number);
  _exit(written < 0 ? 1 : 0);
}

/// Starts the program and returns its pid once it runs; posix_spawn could not give it back its
/// limits.
Result<pid_t> Spawn(std::vector<std::string>& command,
                    std::vector<std::string>& environment,
                    const HeldState& held) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return CannotRun(command[0], errno);
  }
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const std::vector<char*> arguments = Pointers(command);
  const std::vector<char*> variables = Pointers(environment);
  const pid_t pid = fork();
  if (pid == 0) {
    Become(arguments.data(), variables.data(), held, writer.get());
  }
  if (pid < 0) {
    return CannotRun(command[0], errno);
  }
  writer = UniqueFd();
  int failure = 0;
  // Ends without a byte when the program starts, which closes the pipe.
  if (read(reader.get(), &failure, sizeof failure) == static_cast<ssize_t>(sizeof failure)) {
    waitpid(pid, nullptr, 0);
    return CannotRun(command[0], failure);
  }
  return pid;
}

}  // namespace

Result<ChildProcess> ChildProcess::Start(const std::vector<std::string>& command,
                                         const std::map<std::string, std::string>& set,
                                         const std::set<std::string>& unset,
                                         const HeldState& held) {
  std::vector<std::string> arguments = command;
  std::vector<std::string> environment = MakeEnvironment(set, unset);
  const sigset_t passed_on = PassedOnSignals();
  const auto started = Spawn(arguments, environment, held);
  for (std::string& variable : environment) {
    WipeString(variable);
  }
  if (!started.ok()) {
    return started.error();
  }
  const pid_t pid = *started;
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  UniqueFd signals(signalfd(-1, &passed_on, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!pidfd.valid() || !signals.valid()) {
    const int error_number = errno;
    kill(pid, SIGKILL);
    return Error(CodeFromErrno(error_number),
                 fmt::format("watch {}: {}", command[0], ErrnoText(error_number)));
  }
  return ChildProcess(pid, std::move(pidfd), std::move(signals));
}

std::optional<int> ChildProcess::Wait(std::chrono::nanoseconds duration) {
  using std::chrono::milliseconds;
  const UniqueFd timer = WallTimer(duration);
  const auto blind_wait = std::clamp<milliseconds>(
      std::chrono::ceil<milliseconds>(duration), milliseconds(0), kLongestBlindWait);
  const int timeout = timer.valid() ? -1 : static_cast<int>(blind_wait.count());
  while (true) {
    std::array<pollfd, 3> watched{
        {{pidfd_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}, {timer.get(), POLLIN, 0}}};
    const int ready = poll(watched.data(), watched.size(), timeout);
    if (ready < 0 && errno != EINTR) {
      return std::nullopt;
    }
    if (watched[1].revents != 0) {
      PassSignalOn();
    }
    if (watched[0].revents != 0) {
      int status = 0;
      if (waitpid(pid_, &status, 0) == pid_) {
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      }
    }
    if (ready == 0 || !timer.valid() || watched[2].revents != 0) {
      return std::nullopt;
    }
  }
}

void ChildProcess::PassSignalOn() const {
  signalfd_siginfo info{};
  while (read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (!ReachesTheCommandAnyway(info)) {
      syscall(SYS_pidfd_send_signal, pidfd_.get(), static_cast<int>(info.ssi_signo), nullptr, 0);
    }
  }
}

}  // namespace credence
