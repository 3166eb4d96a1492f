#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/core/result.h"

namespace credence {

/// How a call ended.
struct RpcVerdict {
  Result<void> result;
  /// The serialized google.rpc.Status a server may send with a failure; usually "".
  std::string details;

  static RpcVerdict Failed(Code code, std::string message);
};

/// What a server says about a call in its header blocks: headers, then perhaps trailers. Its words
/// are shown as ForeignText. Pure.
/// Source: grpc/doc/PROTOCOL-HTTP2.md, "Responses"; grpc/doc/http-grpc-status-mapping.md.
class AnswerHead {
 public:
  /// Most bytes of one block, counted as RFC 9113 section 6.5.2 does.
  static constexpr std::size_t kMaxBlockBytes = std::size_t{32} << 10;

  /// A block begins.
  void Begin() { block_ = Block(); }
  /// Its next field. False: the block is over its bound.
  [[nodiscard]] bool Add(std::string_view name, std::string_view value);
  /// The block is complete. A verdict if that decides the call, which the server may still be
  /// talking in.
  std::optional<RpcVerdict> End(bool ends_stream);

 private:
  struct Block {
    std::size_t size = 0;
    std::string http_status;
    std::string content_type;
    std::optional<std::string> grpc_status;
    std::string message;
    std::string details;
  };

  RpcVerdict Status() const;

  Block block_;
};

/// The verdict on a stream that a reset with this HTTP/2 error code has ended.
/// Source: grpc/doc/PROTOCOL-HTTP2.md, "Errors".
RpcVerdict VerdictOfReset(std::uint32_t error_code);

}  // namespace credence
