#pragma once

#include <sys/types.h>

#include <optional>

#include "base/core/result.h"

namespace credence {

/// The effective ids of a process.
struct EffectiveIds {
  uid_t uid = 0;
  gid_t gid = 0;
};

/// The effective ids of the process behind `pidfd` as they are now, in less than a microsecond.
/// nullopt on kernels before 6.13, which cannot tell. Errors: kUnauthenticated once the process has
/// been reaped. Source: Linux 6.13 PIDFD_GET_INFO.
Result<std::optional<EffectiveIds>> EffectiveIdsOf(int pidfd);

}  // namespace credence
