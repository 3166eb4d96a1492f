#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include "attestors/support/pool_gate.h"
#include "base/core/clock.h"
#include "base/core/deadline.h"
#include "base/core/latch.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/crypto/digest.h"
#include "base/process/pinned_process.h"

namespace credence {

/// SHA-256 of the executables that processes run. Hashing happens on the pool; users take turns,
/// and a hash that nobody waits for any more stops. A digest is remembered only where an unchanged
/// stat means an unchanged file: on local file systems whose change time follows every write (on
/// others, such as tmpfs, if nobody but root may write the file), once the last change is some
/// seconds old. Threads: core thread.
class ExecutableDigests {
 public:
  struct Options {
    /// Largest file hashed, in bytes; 0 for no limit.
    std::uint64_t max_bytes = 0;
    std::size_t max_entries = 4096;
    PoolGate::Options gate{.running = 2, .running_per_uid = 1};
    /// For files that only root can write: those that users made, however large, do not delay them.
    PoolGate::Options root_gate{.running = 2, .running_per_uid = 1};
  };

  ExecutableDigests(asio::any_io_executor core,
                    asio::thread_pool& pool,
                    const Clock& clock,
                    Options options);

  /// The digest of the file that `process` runs, whatever stands at its path.
  /// Errors: kOutOfRange if it is too long or takes longer than 30 s;
  ///   kAborted if it changed meanwhile; kDeadlineExceeded;
  ///   kResourceExhausted; those of PinnedProcess.
  Task<Result<Sha256Digest>> Get(std::shared_ptr<const PinnedProcess> process, Deadline deadline);

  /// Files whose digest is remembered.
  std::size_t size() const { return known_.size(); }

 private:
  struct Flight;
  class Seat;
  /// Users do not share flights: a file would else wait in the queue of whoever asked first.
  using FlightKey = std::pair<uid_t, ExecutableFile>;
  struct Known {
    Sha256Digest digest;
    std::list<ExecutableFile>::iterator recent;
  };

  Result<std::shared_ptr<Flight>> Start(const FlightKey& key,
                                        std::shared_ptr<const PinnedProcess> process);
  void Landed(const FlightKey& key, const std::shared_ptr<Flight>& flight);
  void Remember(const ExecutableFile& file, const Sha256Digest& digest);

  const Clock& clock_;
  Options options_;
  std::map<ExecutableFile, Known> known_;
  /// Most recently used first.
  std::list<ExecutableFile> recent_;
  std::map<FlightKey, std::shared_ptr<Flight>> flights_;
  PoolGate gate_;
  PoolGate root_gate_;
};

}  // namespace credence
