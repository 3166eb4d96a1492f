#pragma once

#include <string>
#include <string_view>

#include <google/protobuf/message.h>

#include "base/core/result.h"

#include "spire/api/types/types.pb.h"

/// What a server answered, in the forms that spire-server prints. Foreign text is shown without
/// control characters.
namespace credence {

/// JSON as spire-server writes it: the names of the proto file, every field, 64-bit numbers as
/// text, bytes in base64.
std::string MessageJson(const google::protobuf::Message& message);
void PrintMessageJson(const google::protobuf::Message& message);

/// A JSON text that we made, indented. Errors: kInternal if it is none.
Result<void> PrintJsonText(const std::string& text);

/// Lines "Entry ID                : ...", each with its newline; for PrintLine, which adds an empty
/// one.
std::string DescribeEntry(const spire::api::types::Entry& entry);
/// Lines "SPIFFE ID         : ..." likewise; times in UTC.
std::string DescribeAgent(const spire::api::types::Agent& agent);
/// "AlreadyExists" and so on, as Go's gRPC names a code.
std::string GoCodeName(int code);
/// "1 entry", "2 entries".
std::string Counted(std::size_t count, std::string_view one, std::string_view many);

}  // namespace credence
