#include "agent/exchange/broker_refusal.h"

#include <string_view>

#include <fmt/format.h>

namespace credence {
namespace {

Code CodeOf(ExchangeFailure failure) {
  switch (failure) {
    case ExchangeFailure::kBadToken:
    case ExchangeFailure::kClockSkew:
    case ExchangeFailure::kReplay:
    case ExchangeFailure::kPolicyDenied:
    case ExchangeFailure::kOpaqueDenied:
      return Code::kPermissionDenied;
    case ExchangeFailure::kBadRequest:
      return Code::kFailedPrecondition;
    case ExchangeFailure::kRateLimited:
      return Code::kResourceExhausted;
    case ExchangeFailure::kUnavailable:
    case ExchangeFailure::kPropagation:
    case ExchangeFailure::kBadResponse:
      return Code::kUnavailable;
  }
  return Code::kUnavailable;
}

std::string_view FixOf(ExchangeFailure failure) {
  switch (failure) {
    case ExchangeFailure::kBadToken:
      return "compare issuer, audience and keys that the destination trusts with those of the "
             "SPIRE server";
    case ExchangeFailure::kClockSkew:
      return "check the clocks of this machine and of the SPIRE server";
    case ExchangeFailure::kPolicyDenied:
      return "let the destination's rule or role accept this SPIFFE ID";
    case ExchangeFailure::kOpaqueDenied:
      return "the destination does not say why: check its rule, the issuer, the audience and the "
             "clock";
    case ExchangeFailure::kBadRequest:
      return "correct spec.settings of the Destination";
    case ExchangeFailure::kPropagation:
      return "wait until the destination has taken over its new trust configuration";
    case ExchangeFailure::kReplay:
    case ExchangeFailure::kRateLimited:
    case ExchangeFailure::kUnavailable:
    case ExchangeFailure::kBadResponse:
      return "";
  }
  return "";
}

}  // namespace

BrokerRefusal StoppingRefusal() {
  return BrokerRefusal{.code = Code::kUnavailable, .fact = "the agent is stopping"};
}

BrokerRefusal ChangedRefusal(const std::string& destination) {
  return BrokerRefusal{
      .code = Code::kUnavailable,
      .fact = fmt::format("destination {} or its grants changed meanwhile", destination),
      .fix = "ask again"};
}

BrokerRefusal TooLateRefusal(const std::string& destination) {
  return BrokerRefusal{
      .code = Code::kUnavailable,
      .fact = fmt::format("the exchange with destination {} took longer than max_ttl lets a "
                          "credential live",
                          destination),
      .fix = "ask again; if it stays so, set a longer max_ttl on the grant or the destination"};
}

BrokerRefusal EndedRefusal(const std::string& destination) {
  return BrokerRefusal{
      .code = Code::kUnavailable,
      .fact = fmt::format("the credential of destination {} ended while the decision was written",
                          destination),
      .fix = "ask again"};
}

BrokerRefusal AuditRefusal(const Error& error) {
  return BrokerRefusal{
      .code = Code::kUnavailable,
      .fact =
          fmt::format("the audit log cannot be written: {}; no credential leaves", error.message()),
      .fix = "make the audit log writable again; credence status shows its state"};
}

BrokerRefusal VendorRefusal(const std::string& destination,
                            const ExchangeError& error,
                            std::optional<WallTime> retry_at) {
  const std::string request =
      error.request_id.empty() ? "" : fmt::format(" (its request id: {})", error.request_id);
  const std::string until =
      retry_at ? fmt::format("; not before {}", FormatRfc3339(*retry_at)) : "";
  return BrokerRefusal{.code = CodeOf(error.failure),
                       .fact = fmt::format("destination {} answered {}: {}{}{}",
                                           destination,
                                           ExchangeFailureName(error.failure),
                                           error.message,
                                           request,
                                           until),
                       .fix = std::string(FixOf(error.failure)),
                       .retry_at = retry_at};
}

}  // namespace credence
