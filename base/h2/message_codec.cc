#include "base/h2/message_codec.h"

#include <cstddef>
#include <memory>

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message_lite.h>

#include "base/core/check.h"

namespace credence::h2 {
namespace {

constexpr std::size_t kMaxMessageBytes = std::size_t{4} << 20;

}  // namespace

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
  // The room behind keeps protobuf from taking the last bytes through a buffer of its own.
  constexpr std::size_t kRoom = 16;
  SecretBytes bytes(size + kRoom);
  {
    google::protobuf::io::ArrayOutputStream array(bytes.data(), static_cast<int>(bytes.size()));
    google::protobuf::io::CodedOutputStream output(&array);
    // Maps in one order, since streams are sent a message only if it differs from their last.
    output.SetSerializationDeterministic(true);
    CREDENCE_CHECK(message.SerializeToCodedStream(&output));
  }
  bytes.Truncate(size);
  return std::make_shared<const SecretBytes>(std::move(bytes));
}

}  // namespace credence::h2
