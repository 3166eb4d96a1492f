#include "agent/exchange/revoker.h"

#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/core/deadline.h"
#include "base/core/log.h"

namespace credence {
namespace {

bool MayPass(Code code) {
  return code == Code::kUnavailable || code == Code::kDeadlineExceeded ||
         code == Code::kResourceExhausted || code == Code::kDataLoss;
}

/// Why the credential is not revoked, until when it is usable, and what names it at the vendor.
std::string StillUsable(const Revocation& revocation, const Error& error) {
  const Credential& credential = *revocation.credential;
  const std::string why =
      error.code() == Code::kUnimplemented
          ? fmt::format("destination {} cannot end a credential", revocation.order.destination)
          : fmt::format("not revoked: {}", error.message());
  const std::string accessor =
      credential.accessor.empty() ? "" : fmt::format(" (accessor {})", credential.accessor);
  return fmt::format("its grant is gone; {}; it stays usable until {}{}",
                     why,
                     FormatRfc3339(credential.expires_at),
                     accessor);
}

}  // namespace

Task<void> Revoker::Run(std::vector<Revocation> revocations) {
  Backoff backoff(options_.retry);
  for (int attempt = 0; attempt < options_.attempts && !revocations.empty(); ++attempt) {
    if (attempt > 0) {
      co_await Sleep(backoff.Next());
    }
    std::vector<Revocation> again;
    for (Revocation& revocation : revocations) {
      if (revocation.credential->expires_at <= clock_.Now()) {
        continue;
      }
      const Outcome outcome = co_await Attempt(revocation);
      if (outcome == Outcome::kTryAgain) {
        again.push_back(std::move(revocation));
      }
    }
    revocations = std::move(again);
  }
}

Task<Revoker::Outcome> Revoker::Attempt(Revocation revocation) {
  const Deadline deadline = Deadline::After(options_.attempt_timeout);
  auto call = revocation.order.target->Revoke(revocation.credential, deadline);
  const Result<void> revoked = co_await WithDeadline(deadline, std::move(call));
  AuditEvent event = ExchangeEvent(revocation.order, "revoke", clock_.Now());
  if (revoked.ok()) {
    event.result = AuditResult::kAllowed;
    event.reason = "its grant is gone";
  } else {
    event.result = AuditResult::kFailed;
    event.reason = StillUsable(revocation, revoked.error());
    event.expires_at = revocation.credential->expires_at;
  }
  const auto written = co_await audit_.Write(std::move(event));
  if (!written.ok()) {
    // The call was made, and hands out nothing: it stands.
    LogError("A revocation is not in the audit log",
             {{"destination", revocation.order.destination}, {"error", written.error().message()}});
  }
  co_return !revoked.ok() && MayPass(revoked.error().code()) ? Outcome::kTryAgain : Outcome::kOver;
}

}  // namespace credence
