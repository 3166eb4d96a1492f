#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include "agent/exchange/audit_event.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/core/task_group.h"

namespace credence {

/// Whether the audit log shows what selectors say.
enum class SelectorDisplay { kRedacted, kPlain };

/// Appends audit events to a file of JSON lines that only its owner can read. See README.md here
/// for the fields.
///
/// Write returns when the kernel has the line; for an exchange, and for an allowed decision that
/// leads to one, when the disk has it (fdatasync, shared by all who wait). So a crash of the agent
/// loses nothing, and a power cut at most the latest refusals and the latest decisions that handed
/// out a cached credential. A line is written whole or not at all. A file that was renamed or
/// removed is made anew by the next Write. Threads: core thread; the file is written on the pool.
/// References outlive the log.
class AuditLog final : public AuditSink {
 public:
  struct Options {
    std::string path;
    SelectorDisplay selectors = SelectorDisplay::kRedacted;
    /// Events that may wait for the disk; more are refused with kResourceExhausted.
    std::size_t max_waiting = 4096;
  };

  /// Opens or creates the file (0600) and its folder (0700). Blocks: call at start.
  /// Errors: as CodeFromErrno, naming the path; kInvalidArgument if it is no regular file of this
  /// user.
  static Result<std::unique_ptr<AuditLog>> Open(asio::any_io_executor executor,
                                                asio::thread_pool& pool,
                                                Options options);
  ~AuditLog() override;

  Task<Result<void>> Write(AuditEvent event) override;

  /// Opens the path again before the next event, after rotation.
  void Reopen();

  /// Why the last write failed, naming the path; "" if it did not. For status.
  const std::string& error() const { return error_; }

  /// Waits until what is queued is written.
  Task<void> Stop();

 private:
  class File;
  struct Pending;

  AuditLog(asio::any_io_executor executor,
           asio::thread_pool& pool,
           Options options,
           std::shared_ptr<File> file);

  asio::any_io_executor executor_;
  asio::thread_pool& pool_;
  Options options_;
  std::shared_ptr<File> file_;
  std::string error_;
};

}  // namespace credence
