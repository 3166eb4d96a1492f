#include "agent/endpoints/call_support.h"

#include <memory>

#include <fmt/format.h>

#include "base/core/check.h"

namespace credence {
namespace {

constexpr std::string_view kSecurityHeader = "workload.spiffe.io";
constexpr std::size_t kMaxMessageBytes = std::size_t{4} << 20;

}  // namespace

Result<void> CheckSecurityHeader(const h2::ServerCall& call) {
  const auto values = call.Metadata(kSecurityHeader);
  if (values.size() != 1 || values.front() != "true") {
    return Error(Code::kInvalidArgument,
                 "security header missing from request: send metadata workload.spiffe.io: true");
  }
  return Ok();
}

Result<void> ParseRequest(std::string_view bytes, google::protobuf::MessageLite& request) {
  if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Error(Code::kInvalidArgument,
                 fmt::format("the request is no {}", request.GetTypeName()));
  }
  return Ok();
}

Result<SharedSecret> Serialize(const google::protobuf::MessageLite& message) {
  const std::size_t size = message.ByteSizeLong();
  if (size > kMaxMessageBytes) {
    return Error(
        Code::kResourceExhausted,
        fmt::format("the answer has {} bytes; gRPC clients accept {}", size, kMaxMessageBytes));
  }
  SecretBytes bytes(size);
  CREDENCE_CHECK(message.SerializeToArray(bytes.data(), static_cast<int>(size)));
  return std::make_shared<const SecretBytes>(std::move(bytes));
}

Error AttestationError(const Error& error) {
  return Error(Code::kUnavailable, "could not attest the caller: " + error.message());
}

}  // namespace credence
