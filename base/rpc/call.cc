#include "base/rpc/call.h"

#include <grpc/support/time.h>

namespace credence {
namespace {

constexpr std::size_t kMaxMessageBytes = 1024;

Code CodeFrom(grpc::StatusCode code) {
  const int number = static_cast<int>(code);
  if (number < static_cast<int>(Code::kCancelled) ||
      number > static_cast<int>(Code::kUnauthenticated)) {
    return Code::kUnknown;
  }
  return static_cast<Code>(number);
}

}  // namespace

Result<void> ResultFromStatus(const grpc::Status& status) {
  if (status.ok()) {
    return Ok();
  }
  std::string message = status.error_message().substr(0, kMaxMessageBytes);
  if (message.empty()) {
    message = "the server gave no reason";
  }
  return Error(CodeFrom(status.error_code()), std::move(message));
}

void PrepareContext(grpc::ClientContext& context, Deadline deadline, const RpcMetadata& metadata) {
  // A deadline on the steady clock: setting the machine's time must not stretch a call.
  const auto left = gpr_time_from_nanos(deadline.Remaining().count(), GPR_TIMESPAN);
  context.set_deadline(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), left));
  for (const auto& [name, value] : metadata) {
    context.AddMetadata(name, value);
  }
}

}  // namespace credence
