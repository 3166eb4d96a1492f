#include "agent/exchange/revoker.h"

#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/core/deadline.h"
#include "base/core/log.h"

namespace credence {
namespace {

/// Why the credential is not revoked, until when it is usable, and what names it at the vendor.
std::string StillUsable(const Revocation& revocation, const Error& error) {
  const Credential& credential = *revocation.credential;
  const std::string accessor =
      credential.accessor.empty() ? "" : fmt::format(" (accessor {})", credential.accessor);
  const bool refused =
      error.code() == Code::kPermissionDenied || error.code() == Code::kUnauthenticated;
  if (revocation.unknown && refused) {
    // A vendor refuses a token that it has ended.
    return fmt::format(
        "its grant is gone; refused after an attempt whose outcome is unknown; it "
        "may have ended already, at the latest it ends at {}{}: {}",
        FormatRfc3339(credential.expires_at),
        accessor,
        error.message());
  }
  const std::string why =
      error.code() == Code::kUnimplemented
          ? fmt::format("destination {} cannot end a credential", revocation.order.destination)
          : fmt::format("not revoked: {}", error.message());
  return fmt::format("its grant is gone; {}; it stays usable until {}{}",
                     why,
                     FormatRfc3339(credential.expires_at),
                     accessor);
}

}  // namespace

Revoker::Outcome Revoker::OutcomeOf(const Result<void>& revoked) {
  if (revoked.ok()) {
    return Outcome::kOver;
  }
  switch (revoked.error().code()) {
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
    case Code::kDataLoss:
      return Outcome::kUnknown;
    case Code::kResourceExhausted:
      return Outcome::kTryAgain;
    default:
      return Outcome::kOver;
  }
}

bool Revoker::Wanted(const Revocation& revocation) const {
  if (revocation.credential->expires_at <= clock_.Now()) {
    return false;
  }
  if (granted_(revocation.order)) {
    LogInfo("A credential is not revoked: it is granted again",
            {{"destination", revocation.order.destination},
             {"spiffe_id", revocation.order.identity.id.text()},
             {"exchange_id", revocation.order.exchange_id}});
    return false;
  }
  return true;
}

Task<void> Revoker::Run(std::vector<Revocation> revocations) {
  co_await Sleep(options_.grace);
  Backoff backoff(options_.retry);
  for (int attempt = 0; attempt < options_.attempts && !revocations.empty(); ++attempt) {
    if (attempt > 0) {
      co_await Sleep(backoff.Next());
    }
    std::vector<Revocation> again;
    for (Revocation& revocation : revocations) {
      if (!Wanted(revocation)) {
        continue;
      }
      const Outcome outcome = co_await Attempt(revocation);
      if (outcome != Outcome::kOver) {
        revocation.unknown = revocation.unknown || outcome == Outcome::kUnknown;
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
  co_return OutcomeOf(revoked);
}

}  // namespace credence
