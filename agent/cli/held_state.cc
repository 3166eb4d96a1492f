#include "agent/cli/held_state.h"

#include <sys/signalfd.h>

#include <algorithm>
#include <array>

namespace credence {
namespace {

/// Those that end a process which says nothing about them, apart from what a fault or a write of
/// its own raises, and SIGWINCH. The real-time signals are the rest of them.
constexpr std::array kPassedOn = {SIGHUP,
                                  SIGINT,
                                  SIGQUIT,
                                  SIGUSR1,
                                  SIGUSR2,
                                  SIGALRM,
                                  SIGTERM,
                                  SIGSTKFLT,
                                  SIGXCPU,
                                  SIGVTALRM,
                                  SIGPROF,
                                  SIGIO,
                                  SIGPWR,
                                  SIGWINCH};
/// What a write of ours raises: into a pipe that nobody reads, and beyond the limit of a file.
constexpr std::array kOfOurWrites = {SIGPIPE, SIGXFSZ};
constexpr std::array kEnding = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
/// No core file, and not handed to a program that collects them either, as it would be with 0.
/// Source: core(5), fs/coredump.c of the kernel.
constexpr rlim_t kNoCore = 1;

/// As under nohup.
bool IsIgnored(int number) {
  struct sigaction now{};
  return sigaction(number, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

}  // namespace

sigset_t PassedOnSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : kPassedOn) {
    sigaddset(&set, number);
  }
  for (int number = SIGRTMIN; number <= SIGRTMAX; ++number) {
    sigaddset(&set, number);
  }
  return set;
}

HeldState::HeldState() {
  sigset_t blocked = PassedOnSignals();
  for (const int number : kOfOurWrites) {
    sigaddset(&blocked, number);
  }
  pthread_sigmask(SIG_BLOCK, &blocked, &signals_before_);
  // Under a parent that ignores it the kernel would keep the command's exit code from us.
  signal(SIGCHLD, SIG_DFL);
  sigemptyset(&ending_);
  for (const int number : kEnding) {
    if (!IsIgnored(number)) {
      sigaddset(&ending_, number);
    }
  }
  ending_fd_ = UniqueFd(signalfd(-1, &ending_, SFD_CLOEXEC | SFD_NONBLOCK));
  getrlimit(RLIMIT_CORE, &core_limit_before_);
  // The hard limit stays, or the command could not have its own back.
  const rlimit no_core{std::min(kNoCore, core_limit_before_.rlim_max), core_limit_before_.rlim_max};
  setrlimit(RLIMIT_CORE, &no_core);
}

std::optional<int> HeldState::EndingSignal() const {
  sigset_t pending;
  sigemptyset(&pending);
  sigpending(&pending);
  for (const int number : kEnding) {
    if (sigismember(&ending_, number) == 1 && sigismember(&pending, number) == 1) {
      return number;
    }
  }
  return std::nullopt;
}

}  // namespace credence
