#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/h2/status.h"
#include "base/wire/message_buffer.h"

namespace credence::h2 {

/// Why a request is refused before any handler sees it.
struct Refusal {
  /// 200 sends `status`; any other number tells a client that speaks no gRPC, and sends no
  /// grpc-status.
  int http_status = 200;
  Status status;
};

/// The header fields of one request: those of the protocol, decoded, and the metadata. Pure.
/// Source: grpc/doc/PROTOCOL-HTTP2.md, "Requests"; RFC 9113 section 8.3.1.
class RequestHead {
 public:
  explicit RequestHead(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  /// Takes the next field in the order of the wire. Over the limit nothing more is kept.
  void Add(std::string_view name, std::string_view value);

  /// After the last field: why this is no call that we serve; nullopt if it is one.
  std::optional<Refusal> Check() const;

  const std::string& path() const { return path_; }
  std::optional<std::chrono::nanoseconds> timeout() const { return timeout_; }
  Compression compression() const { return compression_; }
  std::vector<std::string_view> Metadata(std::string_view key) const;
  /// Bytes of the list so far as RFC 9113 section 6.5.2 counts them.
  std::size_t size() const { return size_; }

 private:
  void AddPseudo(std::string_view name, std::string_view value);
  void AddReserved(std::string_view name, std::string_view value);

  std::size_t max_bytes_;
  std::size_t size_ = 0;
  bool malformed_ = false;
  bool has_method_ = false;
  bool is_post_ = false;
  bool is_grpc_ = false;
  std::string path_;
  std::optional<std::chrono::nanoseconds> timeout_;
  std::optional<Status> unusable_;
  Compression compression_ = Compression::kNone;
  std::vector<std::pair<std::string, std::string>> metadata_;
};

}  // namespace credence::h2
