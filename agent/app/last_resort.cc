#include "agent/app/last_resort.h"

#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>

#include "base/core/check.h"

namespace credence {
namespace {

std::atomic<int> exit_code_at_the_end{1};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler reads it");

void EndNow(int /*signal*/) {
  _exit(exit_code_at_the_end.load());
}

}  // namespace

void EndProcessAfter(std::chrono::milliseconds time, int exit_code) {
  exit_code_at_the_end.store(exit_code);
  struct sigaction action{};
  action.sa_handler = EndNow;
  CREDENCE_CHECK(sigaction(SIGALRM, &action, nullptr) == 0);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
  const itimerval timer{.it_interval = {},
                        .it_value = {.tv_sec = seconds.count(),
                                     .tv_usec = std::chrono::microseconds(time - seconds).count()}};
  CREDENCE_CHECK(setitimer(ITIMER_REAL, &timer, nullptr) == 0);
}

}  // namespace credence
