#pragma once

/// There if the thread sanitizer is linked in.
extern "C" __attribute__((weak)) void __tsan_init();

namespace credence {

/// Under the thread sanitizer no process of ours is without a second thread, the sanitizer's own,
/// and a process with threads cannot make a user namespace. Source: unshare(2), EINVAL.
inline bool CanMakeUserNamespaces() {
  return __tsan_init == nullptr;
}

}  // namespace credence
