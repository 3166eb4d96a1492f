#include "agent/app/audit_gate.h"

#include <chrono>
#include <utility>

#include "base/core/log.h"

namespace credence {
namespace {

constexpr std::chrono::seconds kRetryPause{2};

}  // namespace

AuditGate::AuditGate(asio::any_io_executor executor,
                     asio::thread_pool& pool,
                     const Clock& clock,
                     std::string path)
    : executor_(std::move(executor)), pool_(pool), clock_(clock), path_(std::move(path)) {
  TryOpen();
}

void AuditGate::TryOpen() {
  if (path_.empty()) {
    open_error_ =
        "no audit log is configured: set credence { audit_log = \"/var/log/credence/audit.jsonl\" "
        "}";
    return;
  }
  next_try_ = clock_.SteadyNow() + kRetryPause;
  auto opened = AuditLog::Open(executor_, pool_, {.path = path_});
  if (opened.ok()) {
    log_ = *std::move(opened);
    open_error_.clear();
    return;
  }
  if (open_error_ != opened.error().message()) {
    LogError("The audit log cannot be opened; no credential is handed out",
             {{"error", opened.error()}});
  }
  open_error_ = opened.error().message();
}

Task<Result<void>> AuditGate::Write(AuditEvent event) {
  if (!log_ && !path_.empty() && clock_.SteadyNow() >= next_try_) {
    TryOpen();
  }
  if (!log_) {
    co_return Error(Code::kUnavailable, open_error_);
  }
  co_return co_await log_->Write(std::move(event));
}

void AuditGate::Reopen() {
  if (log_) {
    log_->Reopen();
  }
}

std::string AuditGate::error() const {
  return log_ ? log_->error() : open_error_;
}

Task<void> AuditGate::Stop() {
  if (log_) {
    co_await log_->Stop();
  }
}

}  // namespace credence
