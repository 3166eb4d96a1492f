#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include "attestors/support/account_names.h"
#include "attestors/workload/unix/executable_digests.h"
#include "base/core/clock.h"
#include "base/core/deadline.h"
#include "base/process/caller.h"
#include "plugins/contract/workload_attestor.h"

namespace credence {

/// What the kernel says about any process: effective user and group, supplementary groups and, if
/// wanted, path and digest of its executable. Selectors: uid, user, gid, group, supplementary_gid,
/// supplementary_group, path, sha256. A name that cannot be found out is left out, and so are a
/// path that the process may have arranged (SPIRE reports that one), which is logged, and
/// supplementary groups beyond 512, as subgid(5) gives some users thousands. A path or digest that
/// cannot be read fails the attestation. Reading /proc happens on the core thread
/// (about 5 us); hashing and name lookups happen on the pool. Source: SPIRE's workload attestor
/// "unix".
class UnixAttestor final : public WorkloadAttestor {
 public:
  struct Options {
    bool discover_workload_path = false;
    /// Largest executable hashed, in bytes; 0 for no limit, negative for no hash.
    std::int64_t workload_size_limit = 0;
    /// Longest wait for names of users and groups.
    std::chrono::milliseconds name_timeout{1'000};
  };

  /// `pool` needs seven threads or more, so that work that hangs leaves some. References outlive
  /// the attestor.
  UnixAttestor(asio::any_io_executor core,
               asio::thread_pool& pool,
               const AccountDatabase& accounts,
               const Clock& clock,
               Options options);

  std::string_view name() const override { return "unix"; }

  Task<Result<std::vector<Selector>>> Attest(std::shared_ptr<const PinnedProcess> process,
                                             Deadline deadline) override;

 private:
  Task<void> LoadNames(std::vector<AccountId> ids, uid_t uid, Deadline deadline);
  Task<Result<void>> AddExecutable(std::shared_ptr<const PinnedProcess> process,
                                   Deadline deadline,
                                   std::vector<Selector>* selectors);
  void LogPathLeftOut(const Caller& caller, const std::string& path);

  const Clock& clock_;
  Options options_;
  AccountNames names_;
  ExecutableDigests digests_;
  SteadyTime name_failure_logged_{};
  std::optional<Deadline> next_path_log_;
  std::uint64_t paths_unlogged_ = 0;
};

}  // namespace credence
