#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/core/task_group.h"
#include "base/process/caller.h"
#include "base/process/pinned_process.h"
#include "base/spiffe/selector.h"
#include "plugins/contract/workload_attestor.h"

namespace credence {

/// Which process called, in words that stay true after it has ended.
struct ProcessFacts {
  pid_t pid = 0;
  uid_t uid = 0;
  Assurance assurance = Assurance::kOpenedByPid;
  /// Clock ticks since boot; with pid it names one process for ever. 0 unless asked for.
  std::uint64_t start_time = 0;
  /// Path of its executable as the kernel shows it, with " (unverified)" behind it where the
  /// process may have arranged what the kernel shows. "" unless asked for.
  std::string executable;
};

/// Start time and executable of `process`, about 25 us, and the first time of a connection what
/// PinnedProcess::PathOfExecutable says. They count only if the process proves unchanged
/// afterwards. Threads: core thread. Errors: as PinnedProcess.
Result<ProcessFacts> DescribeProcess(const PinnedProcess& process);

/// What was proved about a caller.
struct Attested {
  SelectorSet selectors;
  ProcessFacts process;
};

/// How much Attest reads beside the selectors.
enum class AttestDetail {
  kSelectors,
  /// Also ProcessFacts::start_time and executable, for the audit log.
  kProcess,
};

/// Turns a caller into selectors by asking every workload attestor about the caller's pinned
/// process.
///
/// Attestors run side by side, each with its own deadline. One that hangs costs its callers that
/// long and its selectors; after `max_overdue` hanging calls it is not asked until one of them
/// ends. Threads: core thread.
class WorkloadAttestation {
 public:
  struct Options {
    /// Longest wait for one attestor.
    std::chrono::milliseconds attestor_timeout{5000};
    /// Calls to one attestor that may outlive their deadline, or whoever asked, at a time.
    std::size_t max_overdue = 64;
  };

  WorkloadAttestation(asio::any_io_executor executor,
                      std::vector<std::unique_ptr<WorkloadAttestor>> attestors,
                      Options options);

  /// The selectors of all attestors that answered; which failed is logged. An empty set is a
  /// success: the process exists and no attestor has anything to say about it. Errors:
  /// kUnauthenticated if the process has ended or changed (callers answer UNAVAILABLE: it may
  /// connect
  ///   again); kUnavailable if every attestor failed or `deadline` passed; kPermissionDenied if
  ///   procfs hides it.
  Task<Result<Attested>> Attest(std::shared_ptr<const Caller> caller,
                                Deadline deadline,
                                AttestDetail detail = AttestDetail::kSelectors);

  /// Cancels what still runs and waits for it.
  Task<void> Stop() { return running_.Stop(); }

 private:
  struct Asked;
  class Call;
  class Waiting;
  struct Answers {
    std::vector<Selector> selectors;
    /// Attestors that did not answer.
    std::size_t failed = 0;
  };
  /// One attestor and how it fares.
  struct Source {
    std::unique_ptr<WorkloadAttestor> attestor;
    /// Calls that nobody waits for any more and that still run.
    std::size_t overdue = 0;
    std::optional<Deadline> next_log;
    std::uint64_t unlogged = 0;
  };

  /// The only attestor is called directly, which saves the machinery: it must keep its deadline
  /// itself.
  Task<Answers> AskOnly(std::shared_ptr<const PinnedProcess> process, Deadline deadline);
  Task<Answers> AskAll(std::shared_ptr<const PinnedProcess> process, Deadline deadline);
  static Task<void> Ask(std::shared_ptr<Call> call,
                        std::shared_ptr<const PinnedProcess> process,
                        Deadline deadline);
  void LogFailure(Source& source, const Error& error);

  std::vector<Source> sources_;
  Options options_;
  TaskGroup running_;
};

}  // namespace credence
