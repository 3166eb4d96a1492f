#include "agent/cli/child_process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
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

namespace credence {
namespace {

constexpr std::array kPassedOn = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};

sigset_t PassedOnSet() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : kPassedOn) {
    sigaddset(&set, number);
  }
  return set;
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

}  // namespace

HeldSignals::HeldSignals() {
  const sigset_t passed_on = PassedOnSet();
  pthread_sigmask(SIG_BLOCK, &passed_on, &before_);
}

Result<ChildProcess> ChildProcess::Start(const std::vector<std::string>& command,
                                         const std::map<std::string, std::string>& set,
                                         const std::set<std::string>& unset,
                                         const HeldSignals& held) {
  std::vector<std::string> arguments = command;
  std::vector<std::string> environment = MakeEnvironment(set, unset);
  const sigset_t passed_on = PassedOnSet();
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigmask(&attributes, &held.before());
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t pid = 0;
  const int failure = posix_spawnp(&pid,
                                   arguments[0].c_str(),
                                   nullptr,
                                   &attributes,
                                   Pointers(arguments).data(),
                                   Pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  for (std::string& variable : environment) {
    WipeString(variable);
  }
  if (failure != 0) {
    return Error(CodeFromErrno(failure), fmt::format("run {}: {}", command[0], ErrnoText(failure)));
  }
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

std::optional<int> ChildProcess::Wait(Deadline until) {
  while (true) {
    std::array<pollfd, 2> watched{{{pidfd_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until.Remaining()).count();
    const int ready = poll(
        watched.data(), watched.size(), static_cast<int>(std::min<std::int64_t>(left, 3'600'000)));
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
    if (until.Passed()) {
      return std::nullopt;
    }
  }
}

void ChildProcess::PassSignalOn() const {
  signalfd_siginfo info{};
  while (read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    // What the terminal sends, it sends to the command as well.
    if (info.ssi_code != SI_KERNEL) {
      syscall(SYS_pidfd_send_signal, pidfd_.get(), static_cast<int>(info.ssi_signo), nullptr, 0);
    }
  }
}

}  // namespace credence
