#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/core/check.h"
#include "base/rpc/client_session.h"
#include "base/rpc/client_stream.h"

// What a server sends to a client with two calls: one unary, one with both directions open. The
// first byte of an input chooses: bit 0 has messages taken as they come, bit 1 has the client
// answer in between, bit 2 gives one call up in the middle, bits 4 to 7 cut the rest into pieces.
namespace credence {
namespace {

constexpr std::size_t kMostBytesOfAnError = 4096;

class FuzzedClient {
 public:
  FuzzedClient() : session_("https", "server.example") {
    for (auto& call : calls_) {
      call = std::make_shared<ClientStream>();
    }
    calls_[0]->Queue(std::string("\0\0\0\0\2hi", 7));
    calls_[0]->EndRequests();
    for (const auto& call : calls_) {
      const auto id = session_.Open("/p.S/M", std::chrono::seconds(30), {{"a", "b"}}, call);
      CREDENCE_CHECK(id.ok());
      ids_.push_back(*id);
    }
    Drain();
  }

  void Run(std::span<const std::uint8_t> input) {
    const std::uint8_t mode = input.empty() ? 0 : input.front();
    input = input.subspan(std::min<std::size_t>(1, input.size()));
    const std::size_t step = (mode >> 4U) == 0 ? 16384 : std::size_t{1} << (mode >> 4U);
    bool sound = true;
    while (sound && !input.empty() && !session_.Done()) {
      const auto piece = input.first(std::min(step, input.size()));
      input = input.subspan(piece.size());
      sound = session_.Receive(piece).ok();
      if ((mode & 1U) != 0) {
        TakeAll();
      }
      if ((mode & 2U) != 0) {
        sound = Drain() && sound;
      }
      if ((mode & 4U) != 0) {
        session_.Cancel(ids_.back());
      }
    }
    TakeAll();
    (void)Drain();
    session_.Fail(Error(Code::kUnavailable, "the connection is lost"));
    for (const auto& call : calls_) {
      TakeAll();
      CREDENCE_CHECK(call->verdict().has_value() || (mode & 4U) != 0);
      if (call->verdict() && !call->verdict()->result.ok()) {
        CREDENCE_CHECK(call->verdict()->result.error().message().size() <= kMostBytesOfAnError);
      }
    }
  }

 private:
  void TakeAll() {
    for (std::size_t i = 0; i < calls_.size(); ++i) {
      while (const auto message = calls_[i]->Take()) {
        CREDENCE_CHECK(message->size() <= kMaxAnswerBytes);
        session_.OnTaken(ids_[i]);
      }
    }
  }

  bool Drain() {
    std::string out;
    return session_.Send(out, std::size_t{1} << 20).ok();
  }

  std::vector<std::shared_ptr<ClientStream>> calls_{2};
  std::vector<std::int32_t> ids_;
  ClientSession session_;
};

}  // namespace
}  // namespace credence

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  credence::FuzzedClient().Run({data, size});
  return 0;
}
