#pragma once

#include <sys/types.h>

#include <string_view>
#include <vector>

#include "base/core/result.h"

namespace credence {

/// The user facts of a process.
struct ProcStatus {
  uid_t effective_uid = 0;
  gid_t effective_gid = 0;
  /// Supplementary groups in the kernel's order; may repeat the effective one.
  std::vector<gid_t> supplementary_gids;
};

/// Reads the content of /proc/pid/status. The process chooses its name in there, so only whole
/// lines of the kernel count: a newline in a name arrives escaped. Errors: kInternal naming the
/// line that is missing or odd. Source: proc(5), /proc/pid/status.
Result<ProcStatus> ParseProcStatus(std::string_view text);

}  // namespace credence
