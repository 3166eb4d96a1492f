#include "plugins/contract/destination_adapter.h"

namespace credence {

std::string_view ExchangeFailureName(ExchangeFailure failure) {
  switch (failure) {
    case ExchangeFailure::kBadRequest:
      return "BAD_REQUEST";
    case ExchangeFailure::kBadToken:
      return "BAD_TOKEN";
    case ExchangeFailure::kClockSkew:
      return "CLOCK_SKEW";
    case ExchangeFailure::kReplay:
      return "REPLAY";
    case ExchangeFailure::kPolicyDenied:
      return "POLICY_DENIED";
    case ExchangeFailure::kOpaqueDenied:
      return "OPAQUE_DENIED";
    case ExchangeFailure::kRateLimited:
      return "RATE_LIMITED";
    case ExchangeFailure::kUnavailable:
      return "UNAVAILABLE";
    case ExchangeFailure::kPropagation:
      return "PROPAGATION";
    case ExchangeFailure::kBadResponse:
      return "BAD_RESPONSE";
  }
  return "UNAVAILABLE";
}

}  // namespace credence
