#include "agent/governance/audit_log.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "agent/exchange/policy.h"
#include "agent/governance/audit_line.h"
#include "base/core/log.h"

namespace credence {
namespace {

/// What leads to an action outside this machine has to survive a power cut.
bool NeedsDisk(const AuditEvent& event) {
  return event.kind == AuditKind::kExchange ||
         (event.result == AuditResult::kAllowed && !event.from_cache);
}

SelectorSet Redacted(const SelectorSet& selectors) {
  std::vector<Selector> redacted;
  redacted.reserve(selectors.items().size());
  for (const Selector& selector : selectors.items()) {
    redacted.push_back(RedactSelector(selector));
  }
  return SelectorSet(std::move(redacted));
}

}  // namespace

Result<std::unique_ptr<AuditLog>> AuditLog::Open(asio::any_io_executor executor,
                                                 asio::thread_pool& pool,
                                                 Options options) {
  auto file = std::make_shared<AuditFile>(options.path);
  if (auto opened = file->Open(); !opened.ok()) {
    return std::move(opened).error();
  }
  return std::unique_ptr<AuditLog>(
      new AuditLog(std::move(executor), pool, std::move(options), std::move(file)));
}

AuditLog::AuditLog(asio::any_io_executor executor,
                   asio::thread_pool& pool,
                   Options options,
                   std::shared_ptr<AuditFile> file)
    : pool_(pool),
      options_(std::move(options)),
      file_(std::move(file)),
      running_(std::move(executor)) {}

Task<Result<void>> AuditLog::Write(AuditEvent event) {
  if (stopping_) {
    co_return Error(Code::kUnavailable, "the audit log is closed");
  }
  if (queued_.size() + written_.size() >= options_.max_waiting) {
    co_return Error(Code::kResourceExhausted,
                    fmt::format("{} events wait for the disk", queued_.size() + written_.size()));
  }
  auto waiting = std::make_shared<Waiting>();
  waiting->needs_disk = NeedsDisk(event);
  if (options_.selectors == SelectorDisplay::kRedacted) {
    event.subject.selectors = Redacted(event.subject.selectors);
  }
  waiting->line = EncodeAuditLine(event);
  queued_.push_back(waiting);
  if (!writing_) {
    writing_ = true;
    running_.Spawn("audit log writer", WriteQueued());
  }
  const bool done = co_await waiting->done.Wait(Deadline::After(options_.timeout));
  if (!done) {
    co_return Error(Code::kDeadlineExceeded,
                    fmt::format("{}: the disk does not answer", options_.path));
  }
  co_return waiting->result;
}

Task<void> AuditLog::WriteQueued() {
  while (!queued_.empty()) {
    const Batch batch = std::exchange(queued_, {});
    std::string lines;
    for (const auto& waiting : batch) {
      lines += waiting->line;
    }
    const bool reopen = std::exchange(reopen_, false);
    auto append = [file = file_, lines = std::move(lines), reopen] {
      if (reopen) {
        file->Close();
      }
      return file->Append(lines);
    };
    const Result<SharedFd> appended = co_await RunOn(pool_, std::move(append));
    const Result<void> result = appended.ok() ? Ok() : Result<void>(appended.error());
    NoteState(&write_error_, result);
    Batch finished;
    for (const auto& waiting : batch) {
      if (result.ok() && waiting->needs_disk) {
        waiting->file = *appended;
        written_.push_back(waiting);
      } else {
        finished.push_back(waiting);
      }
    }
    Finish(finished, result);
    if (!written_.empty() && !syncing_) {
      syncing_ = true;
      running_.Spawn("audit log sync", SyncWritten());
    }
  }
  writing_ = false;
  WakeIfIdle();
}

Task<void> AuditLog::SyncWritten() {
  while (!written_.empty()) {
    const Batch batch = std::exchange(written_, {});
    std::vector<SharedFd> files;
    for (const auto& waiting : batch) {
      // More than one only when the log was rotated in between.
      if (std::find(files.begin(), files.end(), waiting->file) == files.end()) {
        files.push_back(waiting->file);
      }
    }
    auto sync = [files = std::move(files)] {
      for (const SharedFd& file : files) {
        if (auto synced = SyncToDisk(file->get()); !synced.ok()) {
          return synced;
        }
      }
      return Ok();
    };
    Result<void> result = co_await RunOn(pool_, std::move(sync));
    if (!result.ok()) {
      result = std::move(result).error().Wrap(options_.path);
    }
    NoteState(&sync_error_, result);
    Finish(batch, result);
  }
  syncing_ = false;
  WakeIfIdle();
}

void AuditLog::Finish(const Batch& batch, const Result<void>& result) {
  for (const auto& waiting : batch) {
    waiting->result = result;
    waiting->done.Set();
  }
}

void AuditLog::NoteState(std::string* state, const Result<void>& result) {
  const std::string now = result.ok() ? "" : result.error().message();
  if (*state == now) {
    return;
  }
  if (now.empty()) {
    LogInfo("Audit log can be written again", {{"path", options_.path}});
  } else {
    LogError("Audit log cannot be written; no credential leaves", {{"error", now}});
  }
  *state = now;
}

void AuditLog::WakeIfIdle() {
  if (idle_ && !writing_ && !syncing_) {
    idle_->Set();
  }
}

Task<void> AuditLog::Stop() {
  stopping_ = true;
  if (writing_ || syncing_) {
    idle_ = std::make_shared<Latch>();
    const auto idle = idle_;
    co_await idle->Wait(Deadline::After(options_.timeout));
  }
  co_await running_.Stop();
}

}  // namespace credence
