#pragma once

#include <string>
#include <string_view>

#include <google/protobuf/message_lite.h>

#include "base/core/result.h"
#include "base/core/secret_bytes.h"
#include "base/h2/server_call.h"

namespace credence {

/// The metadata that every call on the Workload API's socket carries exactly once, with the value
/// "true". It keeps a browser or proxy that was tricked into connecting from being answered.
/// Errors: kInvalidArgument. Source: SPIFFE Workload Endpoint section 5.
Result<void> CheckSecurityHeader(const h2::ServerCall& call);

/// Errors: kInvalidArgument for bytes that are no such message.
Result<void> ParseRequest(std::string_view bytes, google::protobuf::MessageLite& request);

/// The message in locked memory, ready to be shared by the streams that send it. Equal messages
/// give equal bytes. Errors: kResourceExhausted above the 4 MiB that gRPC clients accept.
Result<SharedSecret> Serialize(const google::protobuf::MessageLite& message);

/// What a workload is told when it could not be attested: UNAVAILABLE, since connecting again may
/// help.
Error AttestationError(const Error& error);

}  // namespace credence
