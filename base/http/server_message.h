#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/core/clock.h"

/// What a server of public documents reads and writes, without I/O.
namespace credence {

/// The head of a request, or the status with which it is refused.
struct ServerRequest {
  /// 200, or why nothing can be answered to it: 400, 405, 431. The connection ends then, because
  /// where the next request begins is not known.
  int status = 200;
  /// HEAD: the answer goes without its body.
  bool head_only = false;
  bool keep_alive = false;
  /// Without the query; starts with '/'.
  std::string path;
};

/// Cuts the bytes of one connection into requests. GET and HEAD without a body are all it knows.
/// Source: RFC 9112 sections 2 to 5, RFC 9110 section 7.2.
class RequestReader {
 public:
  /// A head is at most `max_head_bytes` long.
  explicit RequestReader(std::size_t max_head_bytes) : buffer_(max_head_bytes) {}

  /// Where the next bytes go; never empty unless the last Next() refused a request.
  std::span<std::uint8_t> Space();
  /// Takes the first `size` bytes of Space().
  void Commit(std::size_t size);
  /// The next request; nullopt until more bytes have come. No call after a refusal.
  std::optional<ServerRequest> Next();
  /// True between requests: nothing is held of another one.
  bool empty() const { return used_ == 0; }

 private:
  /// Past the end of the head; 0 when it is not there yet, nullopt when it can never be.
  std::optional<std::size_t> FindEnd();

  /// Forgets the first `size` bytes.
  void Drop(std::size_t size);

  std::vector<std::uint8_t> buffer_;
  std::size_t used_ = 0;
  bool past_empty_line_ = false;
  /// No end lies before this.
  std::size_t searched_ = 0;
};

/// "Sun, 06 Nov 1994 08:49:37 GMT". Source: RFC 9110 section 5.6.7.
std::string FormatHttpDate(WallTime time);

/// "Not Found" and so on, for the statuses that a server here sends; "Error" for others.
std::string_view HttpReason(int status);

/// The head of an answer.
struct ServerResponseHead {
  int status = 200;
  std::string_view content_type;
  std::size_t content_length = 0;
  /// How long anyone may keep the answer; 0: ask again each time.
  std::chrono::seconds max_age{0};
  bool keep_alive = false;
};
/// With nothing in it that tells what program answers.
std::string SerializeResponseHead(const ServerResponseHead& head, WallTime now);

}  // namespace credence
