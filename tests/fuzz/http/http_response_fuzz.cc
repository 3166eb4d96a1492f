#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/core/check.h"
#include "base/http/response_reader.h"

/// The first byte is the size of the pieces in which the rest arrives.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kMaxBody = 4096;
  if (size == 0) {
    return 0;
  }
  const std::size_t piece = std::size_t{data[0]} + 1;
  credence::ResponseReader reader(kMaxBody);
  bool complete = false;
  for (std::size_t at = 1; at < size && !complete;) {
    const auto space = reader.Space();
    CREDENCE_CHECK(!space.empty());
    const std::size_t step = std::min({piece, space.size(), size - at});
    std::memcpy(space.data(), data + at, step);
    at += step;
    auto committed = reader.Commit(step);
    if (!committed.ok()) {
      return 0;
    }
    complete = *committed;
  }
  if (complete || reader.Eof().ok()) {
    const credence::HttpResponse response = reader.Take();
    CREDENCE_CHECK(response.body.size() <= kMaxBody);
    CREDENCE_CHECK(response.status >= 0 && response.status <= 999);
    (void)response.FindHeader("request-id");
  }
  return 0;
}
