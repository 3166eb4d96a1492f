#pragma once

#include <poll.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <system_error>

#include <gmock/gmock.h>

#include "base/core/result.h"
#include "base/process/pinned_process.h"
#include "base/process/testing/child_process.h"

/// What tests of pinned processes share.
namespace credence {

/// For a child.
inline int PauseForEver() {
  while (true) {
    pause();
  }
}

inline Result<PinnedProcess> Pin(const ChildProcess& child) {
  return PinnedProcess::Open(CallerOf(child.pid()));
}

inline auto HostPath(const std::string& text) {
  return testing::AllOf(testing::Field(&ExecutablePath::text, text),
                        testing::Field(&ExecutablePath::callers_view, false));
}

inline auto CallersPath(const std::string& text) {
  return testing::AllOf(testing::Field(&ExecutablePath::text, text),
                        testing::Field(&ExecutablePath::callers_view, true));
}

/// Waits until `ready` says so, at most ten seconds.
template <class Ready>
bool Eventually(Ready ready) {
  for (int i = 0; i < 1000; ++i) {
    if (ready()) {
      return true;
    }
    poll(nullptr, 0, 10);
  }
  return false;
}

/// Where a link in /proc leads; nowhere while there is none, as in the middle of an exec.
inline std::filesystem::path LinkAt(const std::string& link) {
  std::error_code none;
  return std::filesystem::read_symlink(link, none);
}

}  // namespace credence
