#pragma once

#include <string_view>

#include "base/core/result.h"
#include "base/core/secret_bytes.h"

namespace google::protobuf {
class MessageLite;
}  // namespace google::protobuf

namespace credence::h2 {

/// Errors: kInvalidArgument for bytes that are no such message.
Result<void> ParseRequest(std::string_view bytes, google::protobuf::MessageLite& request);

/// The message in locked memory, ready to be shared by the streams that send it. Equal messages
/// give equal bytes. Errors: kResourceExhausted above the 4 MiB that gRPC clients accept.
Result<SharedSecret> Serialize(const google::protobuf::MessageLite& message);

}  // namespace credence::h2
