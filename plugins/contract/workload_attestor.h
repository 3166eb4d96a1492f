#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/process/pinned_process.h"
#include "base/spiffe/selector.h"

namespace credence {

/// Turns a running process into selectors of one type.
class WorkloadAttestor {
 public:
  virtual ~WorkloadAttestor() = default;

  /// The selector type and the plugin's name in agent.conf: "unix", "docker".
  virtual std::string_view name() const = 0;

  /// The selectors of `process`; none when the process is not of this attestor's kind (a plain
  /// process asked about containers). What is returned counts only if the process proves unchanged
  /// afterwards; the caller checks. Errors: any; the process then has no selectors of this type,
  /// and the failure is logged. Threads/Cancellation: core thread, off-loads what blocks; must end
  /// by `deadline`.
  virtual Task<Result<std::vector<Selector>>> Attest(std::shared_ptr<const PinnedProcess> process,
                                                     Deadline deadline) = 0;
};

}  // namespace credence
