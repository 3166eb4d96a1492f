#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/core/result.h"

namespace credence::h2 {

/// grpc-encoding of a call's messages in one direction.
enum class Compression { kNone, kGzip };

/// The bytes of one direction of a call that nobody has taken yet, cut into messages. It
/// decompresses a message only when that is taken, so that what waits here is never larger than
/// what was sent. Pure. Source: grpc/doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message".
class MessageBuffer {
 public:
  MessageBuffer(Compression compression, std::size_t max_message_bytes)
      : max_message_bytes_(max_message_bytes), compression_(compression) {}
  ~MessageBuffer();
  MessageBuffer(const MessageBuffer&) = delete;
  MessageBuffer& operator=(const MessageBuffer&) = delete;

  /// Appends bytes. Errors: kResourceExhausted if the first message is announced as over the limit;
  /// kInternal if its
  ///   prefix is none of gRPC's, or says compressed in a call without compression.
  Result<void> Append(std::string_view bytes);

  /// True if Take() would give a message.
  bool HasMessage() const;
  /// The first message and removes it. Only if HasMessage().
  /// Errors: those of Append for the message after it; those of InflateGzip. The call is over then.
  Result<std::string> Take();

  /// Bytes held.
  std::size_t size() const { return bytes_.size() - begin_; }

 private:
  /// The announced length of the first message; nullopt while its prefix is incomplete.
  std::optional<std::size_t> FirstLength() const;
  Result<void> CheckFirst() const;

  std::size_t max_message_bytes_;
  Compression compression_;
  std::string bytes_;
  /// Where in it the first message starts.
  std::size_t begin_ = 0;
};

constexpr std::size_t kMessagePrefixBytes = 5;

}  // namespace credence::h2
