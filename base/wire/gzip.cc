#include "base/wire/gzip.h"

#include <algorithm>
#include <memory>

#include <zlib.h>

#include "base/core/check.h"

namespace credence::h2 {
namespace {

constexpr std::size_t kFreeGrowth = std::size_t{64} << 10;
constexpr std::size_t kMostGrowth = 100;
constexpr std::size_t kFirstBuffer = 4096;
/// 15 bits of window; +16 demands the gzip wrapper.
constexpr int kGzipWindowBits = 15 + 16;

struct EndInflate {
  void operator()(z_stream* stream) const { inflateEnd(stream); }
};

}  // namespace

Result<std::string> InflateGzip(std::string_view compressed, std::size_t max_bytes) {
  const std::size_t limit =
      std::min(max_bytes, std::max(kFreeGrowth, compressed.size() * kMostGrowth));
  z_stream stream{};
  CREDENCE_CHECK(inflateInit2(&stream, kGzipWindowBits) == Z_OK);
  const std::unique_ptr<z_stream, EndInflate> ended(&stream);
  stream.next_in = reinterpret_cast<z_const Bytef*>(const_cast<char*>(compressed.data()));
  stream.avail_in = static_cast<uInt>(compressed.size());
  // One byte more than allowed tells "exactly the limit" from "over it".
  std::string plain(std::min(limit + 1, std::max(kFirstBuffer, compressed.size() * 4)), '\0');
  for (;;) {
    stream.next_out = reinterpret_cast<Bytef*>(plain.data()) + stream.total_out;
    stream.avail_out = static_cast<uInt>(plain.size() - stream.total_out);
    const int outcome = inflate(&stream, Z_NO_FLUSH);
    if (outcome == Z_STREAM_END) {
      break;
    }
    if (outcome != Z_OK || (stream.avail_in == 0 && stream.avail_out > 0)) {
      return Error(Code::kInvalidArgument, "message is not valid gzip");
    }
    if (stream.total_out > limit) {
      return Error(Code::kResourceExhausted, "message grows too large when decompressed");
    }
    if (stream.avail_out == 0) {
      plain.resize(std::min(limit + 1, plain.size() * 2));
    }
  }
  if (stream.avail_in > 0) {
    return Error(Code::kInvalidArgument, "message has bytes after its gzip end");
  }
  if (stream.total_out > limit) {
    return Error(Code::kResourceExhausted, "message grows too large when decompressed");
  }
  plain.resize(stream.total_out);
  return plain;
}

}  // namespace credence::h2
