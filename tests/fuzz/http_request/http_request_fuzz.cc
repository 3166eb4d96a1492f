#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/core/check.h"
#include "base/http/server_message.h"

namespace {

constexpr std::size_t kMaxHead = 512;

/// What a reader makes of `bytes` when they arrive in pieces of `piece`, up to the first refusal.
std::vector<credence::ServerRequest> Requests(std::span<const std::uint8_t> bytes,
                                              std::size_t piece) {
  std::vector<credence::ServerRequest> requests;
  credence::RequestReader reader(kMaxHead);
  while (!bytes.empty()) {
    const auto space = reader.Space();
    CREDENCE_CHECK(!space.empty());
    const std::size_t step = std::min({piece, space.size(), bytes.size()});
    std::memcpy(space.data(), bytes.data(), step);
    bytes = bytes.subspan(step);
    reader.Commit(step);
    while (auto request = reader.Next()) {
      requests.push_back(*std::move(request));
      if (requests.back().status != 200) {
        return requests;
      }
    }
  }
  return requests;
}

void Check(const credence::ServerRequest& request) {
  const int status = request.status;
  CREDENCE_CHECK(status == 200 || status == 400 || status == 405 || status == 431);
  if (status == 200) {
    CREDENCE_CHECK(request.path.starts_with('/') && request.path.size() < kMaxHead);
    CREDENCE_CHECK(request.path.find('?') == std::string::npos);
  }
}

}  // namespace

/// The first byte is the size of the pieces in which the rest arrives; what comes of it must not
/// depend on that.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const std::span bytes(data + 1, size - 1);
  const auto whole = Requests(bytes, kMaxHead);
  const auto pieces = Requests(bytes, std::size_t{data[0]} + 1);
  CREDENCE_CHECK(whole.size() == pieces.size());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    Check(whole[i]);
    CREDENCE_CHECK(whole[i].status == pieces[i].status && whole[i].path == pieces[i].path &&
                   whole[i].head_only == pieces[i].head_only &&
                   whole[i].keep_alive == pieces[i].keep_alive);
  }
  return 0;
}
