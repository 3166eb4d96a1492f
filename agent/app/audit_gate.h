#pragma once

#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include "agent/exchange/audit_event.h"
#include "agent/governance/audit_log.h"
#include "base/core/clock.h"
#include "base/core/task.h"

namespace credence {

/// The audit log, or the reason why there is none: an agent whose log cannot be opened serves
/// SVIDs, hands out no credential, and tries to open the log again. Threads: core thread.
class AuditGate final : public AuditSink {
 public:
  /// `path` is "" when none is configured.
  AuditGate(asio::any_io_executor executor,
            asio::thread_pool& pool,
            const Clock& clock,
            std::string path);

  Task<Result<void>> Write(AuditEvent event) override;

  /// After rotation of the file.
  void Reopen();
  /// Why no event can be written now; "" if it can.
  std::string error() const;

  Task<void> Stop();

 private:
  void TryOpen();

  asio::any_io_executor executor_;
  asio::thread_pool& pool_;
  const Clock& clock_;
  std::string path_;
  std::unique_ptr<AuditLog> log_;
  std::string open_error_;
  SteadyTime next_try_{};
};

}  // namespace credence
