#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/core/result.h"
#include "base/core/secret_bytes.h"

namespace credence {

/// Longest head of an answer, all header lines together.
inline constexpr std::size_t kMaxResponseHeadBytes = std::size_t{16} << 10;

struct HttpResponse {
  int status = 0;
  /// In the order received; values are the server's bytes, so escape them before showing.
  std::vector<std::pair<std::string, std::string>> headers;
  SecretBytes body;

  /// The first value of a header, in any case of its name; "" if there is none.
  std::string_view FindHeader(std::string_view name) const;
};

/// Turns the bytes of one connection into one answer, without I/O. Interim (1xx) answers are
/// skipped.
///
///     while (!complete) { n = read into Space(); complete = Commit(n); }   // or Eof() at the end
///     of the stream
///
/// Source: RFC 9112.
class ResponseReader {
 public:
  explicit ResponseReader(std::size_t max_body_bytes);
  ~ResponseReader();
  ResponseReader(const ResponseReader&) = delete;
  ResponseReader& operator=(const ResponseReader&) = delete;

  /// Where the next bytes go; never empty unless the last call failed.
  std::span<std::uint8_t> Space();

  /// Takes the first `size` bytes of Space(); true when the answer is complete.
  /// Errors: kOutOfRange when the head, the body or the framing around it is too large; kDataLoss
  /// when it is no HTTP/1
  ///   answer or there are too many interim ones.
  Result<bool> Commit(std::size_t size);

  /// The server sends no more. Success if that is what ends the body.
  /// Errors: kUnavailable if no byte of an answer came; kDataLoss if it stopped in the middle.
  Result<void> Eof();

  /// The complete answer.
  HttpResponse Take();

 private:
  struct Parser;

  void Restart();

  std::size_t max_body_bytes_;
  std::unique_ptr<Parser> parser_;
  SecretBytes buffer_;
  std::size_t used_ = 0;
  std::size_t received_ = 0;
  /// What is in the buffer is the beginning of something.
  bool incomplete_ = false;
  int interim_answers_ = 0;
};

}  // namespace credence
