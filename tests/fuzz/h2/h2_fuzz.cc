#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <nghttp2/nghttp2.h>

#include "base/core/check.h"
#include "base/core/task_group.h"
#include "base/h2/account.h"
#include "base/h2/handler_run.h"
#include "base/h2/server_context.h"
#include "base/h2/session.h"
#include "base/h2/unary.h"

// The first byte of an input chooses how the rest reaches the session: bit 0 puts a client's
// preface before it, bit 1 has the session's answers read in between, bit 2 hangs up before
// handlers have run, bits 4 to 7 cut it into pieces.
namespace credence::h2 {
namespace {

Task<UnaryReply> EchoMessage(std::shared_ptr<ServerCall> /*call*/, std::string request) {
  co_return std::make_shared<const SecretBytes>(SecretBytes::CopyOf(request));
}

Task<Status> Chat(std::shared_ptr<ServerCall> call) {
  for (;;) {
    auto message = co_await call->Read();
    if (!message.ok()) {
      co_return Status::From(message.error());
    }
    if (!message->has_value()) {
      co_return Status::Ok();
    }
    auto written =
        co_await call->Write(std::make_shared<const SecretBytes>(SecretBytes::CopyOf(**message)));
    if (!written.ok()) {
      co_return Status::From(written.error());
    }
  }
}

class FuzzedServer {
 public:
  FuzzedServer() {
    server_.routes.emplace("/e", Route{Route::Kind::kUnary, MakeUnary(EchoMessage)});
    server_.routes.emplace("/c", Route{Route::Kind::kStream, Chat});
    server_.start_call = [this](std::shared_ptr<Stream> stream) {
      if (stream->open()) {
        SpawnHandler(calls_, std::move(stream));
      }
    };
  }

  /// As the server does it, all of a session's work is inside the event loop.
  void Run(std::span<const std::uint8_t> input) {
    asio::post(io_, [this, input] { Serve(input); });
    io_.restart();
    io_.poll();
    CREDENCE_CHECK(calls_.empty());
  }

 private:
  void Serve(std::span<const std::uint8_t> input) {
    const std::uint8_t mode = input.empty() ? 0 : input.front();
    input = input.subspan(std::min<std::size_t>(1, input.size()));
    constexpr std::size_t kMegabyte = std::size_t{1} << 20;
    auto account =
        std::make_shared<Account>(Account::Amount{1, 100, kMegabyte, kMegabyte}, nullptr);
    Session::Peer peer;
    peer.connection = 1;
    peer.caller = std::make_shared<const Caller>();
    peer.account = account;
    Session session(server_, std::move(peer), [] {});
    bool sound = true;
    if ((mode & 1U) != 0) {
      static const std::vector<std::uint8_t> preface = [] {
        constexpr std::string_view kMagic = NGHTTP2_CLIENT_MAGIC;
        std::vector<std::uint8_t> bytes(kMagic.begin(), kMagic.end());
        const std::uint8_t settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
        bytes.insert(bytes.end(), std::begin(settings), std::end(settings));
        return bytes;
      }();
      sound = session.Receive(preface);
    }
    const std::size_t step = (mode >> 4U) == 0 ? 16384 : std::size_t{1} << (mode >> 4U);
    while (sound && !input.empty() && !session.Done()) {
      const auto piece = input.first(std::min(step, input.size()));
      input = input.subspan(piece.size());
      sound = session.Receive(piece);
      if ((mode & 2U) != 0) {
        io_.poll();
        sound = sound && Drain(session);
      }
    }
    if ((mode & 4U) == 0) {
      io_.poll();
      (void)Drain(session);
      io_.poll();
    }
    session.Close();
    io_.poll();
    CREDENCE_CHECK(account->used().calls == 0 && account->used().bytes == 0 &&
                   account->used().unread == 0);
  }

  /// False once the session is broken.
  bool Drain(Session& session) {
    for (;;) {
      const auto count = session.Send({server_.write_buffer.data(), server_.write_buffer.size()});
      if (!count || *count == 0) {
        return count.has_value();
      }
    }
  }

  asio::io_context io_;
  ServerContext server_{io_.get_executor(), ServerOptions{}};
  TaskGroup calls_{io_.get_executor()};
};

}  // namespace
}  // namespace credence::h2

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static credence::h2::FuzzedServer server;
  server.Run({data, size});
  return 0;
}
