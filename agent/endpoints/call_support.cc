#include "agent/endpoints/call_support.h"

namespace credence {
namespace {

constexpr std::string_view kSecurityHeader = "workload.spiffe.io";

}  // namespace

Result<void> CheckSecurityHeader(const h2::ServerCall& call) {
  const auto values = call.Metadata(kSecurityHeader);
  if (values.size() != 1 || values.front() != "true") {
    return Error(Code::kInvalidArgument,
                 "security header missing from request: send metadata workload.spiffe.io: true");
  }
  return Ok();
}

Error AttestationError(h2::ServerCall& call, const Error& error) {
  if (error.code() == Code::kUnauthenticated) {
    call.AskToReconnect();
  }
  return Error(Code::kUnavailable, "could not attest the caller: " + error.message());
}

}  // namespace credence
