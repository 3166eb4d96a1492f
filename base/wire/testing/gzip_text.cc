#include "base/wire/testing/gzip_text.h"

#include <random>

#include <zlib.h>

#include "base/core/check.h"

namespace credence::h2 {

std::string Gzip(std::string_view text) {
  z_stream stream{};
  CREDENCE_CHECK(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<z_const Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  CREDENCE_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

std::string GzipNoise(std::size_t size) {
  std::minstd_rand random(7);
  std::string noise(size, '\0');
  for (char& c : noise) {
    c = static_cast<char>(random() >> 8U);
  }
  return noise;
}

}  // namespace credence::h2
