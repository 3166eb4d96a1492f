#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include "agent/exchange/audit_event.h"
#include "agent/governance/audit_file.h"
#include "base/core/latch.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/core/task_group.h"

namespace credence {

/// Whether the audit log shows what selectors say.
enum class SelectorDisplay { kRedacted, kPlain };

/// Appends audit events to a file of JSON lines that only its owner can read. README.md has the
/// fields.
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
    /// Longest wait for the disk; then the event counts as not written, though it may be.
    std::chrono::milliseconds timeout{10'000};
  };

  /// Opens or creates the file (0600) and its folder (0700). Blocks: call at start.
  /// Errors: as CodeFromErrno, naming the path; kInvalidArgument if it is no regular file of this
  /// user.
  static Result<std::unique_ptr<AuditLog>> Open(asio::any_io_executor executor,
                                                asio::thread_pool& pool,
                                                Options options);

  /// Errors: why the line is not in the file; kResourceExhausted, kDeadlineExceeded; kUnavailable
  /// after Stop.
  Task<Result<void>> Write(AuditEvent event) override;

  /// Opens the path again before the next event, after rotation.
  void Reopen() { reopen_ = true; }

  /// Why the last write failed, naming the path; "" if it did not. For status.
  const std::string& error() const { return write_error_.empty() ? sync_error_ : write_error_; }

  /// Writes what is queued and takes no more. To be awaited before destruction; may be called more
  /// than once.
  Task<void> Stop();

 private:
  /// One event on its way to the disk.
  struct Waiting {
    std::string line;
    bool needs_disk = false;
    /// Where the line went; set once it is written.
    SharedFd file;
    Result<void> result;
    Latch done;
  };
  using Batch = std::vector<std::shared_ptr<Waiting>>;

  AuditLog(asio::any_io_executor executor,
           asio::thread_pool& pool,
           Options options,
           std::shared_ptr<AuditFile> file);

  Task<void> WriteQueued();
  Task<void> SyncWritten();
  void Finish(const Batch& batch, const Result<void>& result);
  void NoteState(std::string* state, const Result<void>& result);
  void WakeIfIdle();

  asio::thread_pool& pool_;
  Options options_;
  std::shared_ptr<AuditFile> file_;
  std::string write_error_;
  std::string sync_error_;
  bool reopen_ = false;
  bool stopping_ = false;
  bool writing_ = false;
  bool syncing_ = false;
  Batch queued_;
  Batch written_;
  /// Set when nothing is under way; exists while Stop waits.
  std::shared_ptr<Latch> idle_;
  TaskGroup running_;
};

}  // namespace credence
