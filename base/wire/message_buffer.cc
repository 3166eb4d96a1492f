#include "base/wire/message_buffer.h"

#include <utility>

#include <fmt/format.h>

#include "base/core/check.h"
#include "base/core/secret_bytes.h"
#include "base/wire/gzip.h"

namespace credence::h2 {

MessageBuffer::~MessageBuffer() {
  WipeString(bytes_);
}

std::optional<std::size_t> MessageBuffer::FirstLength() const {
  if (size() < kMessagePrefixBytes) {
    return std::nullopt;
  }
  std::size_t length = 0;
  for (std::size_t i = 1; i < kMessagePrefixBytes; ++i) {
    length = (length << 8U) | static_cast<unsigned char>(bytes_[begin_ + i]);
  }
  return length;
}

bool MessageBuffer::HasMessage() const {
  const auto length = FirstLength();
  return length && size() - kMessagePrefixBytes >= *length;
}

Result<void> MessageBuffer::CheckFirst() const {
  if (size() == 0) {
    return Ok();
  }
  const auto flag = static_cast<unsigned char>(bytes_[begin_]);
  if (flag > 1) {
    return Error(Code::kInternal, "what arrives is not a gRPC message");
  }
  if (flag == 1 && compression_ == Compression::kNone) {
    return Error(Code::kInternal, "message is compressed but grpc-encoding is not set");
  }
  const auto length = FirstLength();
  if (length && *length > max_message_bytes_) {
    return Error(
        Code::kResourceExhausted,
        fmt::format("message of {} bytes is over the limit of {}", *length, max_message_bytes_));
  }
  return Ok();
}

Result<void> MessageBuffer::Append(std::string_view bytes) {
  bytes_.append(bytes);
  return CheckFirst();
}

Result<std::string> MessageBuffer::Take() {
  CREDENCE_CHECK(HasMessage());
  const std::size_t length = *FirstLength();
  const bool compressed = bytes_[begin_] == 1;
  std::string message = bytes_.substr(begin_ + kMessagePrefixBytes, length);
  begin_ += kMessagePrefixBytes + length;
  if (begin_ == bytes_.size()) {
    // A large request must not keep its memory while the call goes on.
    WipeString(bytes_);
    bytes_.shrink_to_fit();
    begin_ = 0;
  } else if (begin_ > bytes_.size() / 2) {
    // Not for each of many small messages: what is left would be moved as often.
    bytes_.erase(0, std::exchange(begin_, 0));
  }
  if (auto next = CheckFirst(); !next.ok()) {
    return std::move(next).error();
  }
  if (compressed) {
    return InflateGzip(message, max_message_bytes_);
  }
  return message;
}

}  // namespace credence::h2
