#include "base/rpc/message.h"

#include <cstdint>

#include <fmt/format.h>
#include <google/protobuf/message_lite.h>

#include "base/core/check.h"
#include "base/wire/message_buffer.h"

namespace credence {

std::string FrameRequest(const google::protobuf::MessageLite& request) {
  const std::size_t size = request.ByteSizeLong();
  CREDENCE_CHECK(size <= UINT32_MAX);
  std::string framed(h2::kMessagePrefixBytes, '\0');
  for (std::size_t i = 1; i < h2::kMessagePrefixBytes; ++i) {
    framed[i] = static_cast<char>((size >> (8 * (h2::kMessagePrefixBytes - 1 - i))) & 0xFFU);
  }
  framed.reserve(framed.size() + size);
  CREDENCE_CHECK(request.AppendToString(&framed));
  return framed;
}

Result<void> ParseAnswer(std::string_view bytes, google::protobuf::MessageLite& answer) {
  if (!answer.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Error(Code::kInternal,
                 fmt::format("the server's answer is no {}", answer.GetTypeName()));
  }
  return Ok();
}

}  // namespace credence
