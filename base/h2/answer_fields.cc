#include "base/h2/answer_fields.h"

#include "base/core/check.h"
#include "base/wire/grpc_text.h"

namespace credence::h2 {
namespace {

constexpr std::size_t kMostMessageBytes = 1024;
constexpr std::size_t kMostDetailsBytes = 2048;

std::uint8_t* Bytes(std::string_view text) {
  // The library takes non-const pointers and does not write through them.
  return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
}

}  // namespace

void AnswerFields::Add(std::string_view name, std::string_view value, nghttp2_nv_flag flag) {
  CREDENCE_CHECK(count_ < fields_.size());
  const auto flags = static_cast<std::uint8_t>(NGHTTP2_NV_FLAG_NO_COPY_NAME | flag);
  fields_[count_++] = nghttp2_nv{Bytes(name), Bytes(value), name.size(), value.size(), flags};
}

void AnswerFields::AddHead(int http_status) {
  http_status_ = std::to_string(http_status);
  Add(":status", http_status_, NGHTTP2_NV_FLAG_NONE);
  if (http_status == 200) {
    Add("content-type", "application/grpc", NGHTTP2_NV_FLAG_NONE);
  }
}

void AnswerFields::AddStatus(const Status& status) {
  code_ = std::to_string(static_cast<int>(status.code));
  Add("grpc-status", code_, NGHTTP2_NV_FLAG_NONE);
  if (!status.message.empty()) {
    message_ = PercentEncode(status.message, kMostMessageBytes);
    Add("grpc-message", message_, NGHTTP2_NV_FLAG_NO_INDEX);
  }
  if (!status.details.empty() && status.details.size() <= kMostDetailsBytes) {
    details_ = EncodeBinaryHeader(status.details);
    Add("grpc-status-details-bin", details_, NGHTTP2_NV_FLAG_NO_INDEX);
  }
  if (status.code == Code::kUnimplemented) {
    Add("grpc-accept-encoding", "identity,gzip", NGHTTP2_NV_FLAG_NONE);
  }
}

}  // namespace credence::h2
