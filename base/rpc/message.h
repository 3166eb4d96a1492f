#pragma once

#include <string>
#include <string_view>

#include "base/core/result.h"

namespace google::protobuf {
class MessageLite;
}  // namespace google::protobuf

namespace credence {

/// The message as it stands in a gRPC stream: a prefix and its bytes.
/// Source: grpc/doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message".
std::string FrameRequest(const google::protobuf::MessageLite& request);

/// Errors: kInternal for bytes that are no such message.
Result<void> ParseAnswer(std::string_view bytes, google::protobuf::MessageLite& answer);

}  // namespace credence
