#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include "base/core/task_group.h"
#include "base/core/testing/ignore_sigpipe.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"
#include "base/rpc/call.h"

#include "spire/api/server/agent/v1/agent.pb.h"

// A server that sends what the test says, whatever the client does.
namespace credence {
namespace {

using spire::api::server::agent::v1::PostStatusRequest;
using spire::api::server::agent::v1::PostStatusResponse;
using testing::HasSubstr;
using namespace std::chrono_literals;
using namespace std::string_literals;
using Local = asio::local::stream_protocol;

constexpr RpcMethod<PostStatusRequest, PostStatusResponse> kPost{"/test/Post"};

std::string Number(std::uint64_t value, std::size_t bytes) {
  std::string text;
  for (std::size_t i = bytes; i-- > 0;) {
    text += static_cast<char>((value >> (8 * i)) & 0xFFU);
  }
  return text;
}

std::string Frame(unsigned type, unsigned flags, unsigned stream, const std::string& payload) {
  return Number(payload.size(), 3) + Number(type, 1) + Number(flags, 1) + Number(stream, 4) +
         payload;
}

std::string Settings() {
  return Frame(NGHTTP2_SETTINGS, 0, 0, "");
}

/// A literal field without indexing. Source: RFC 7541 section 6.2.2.
std::string Field(const std::string& name, const std::string& value) {
  auto text = [](const std::string& bytes) {
    // The length as an integer with a prefix of 7 bits.
    if (bytes.size() < 127) {
      return Number(bytes.size(), 1) + bytes;
    }
    std::string length = "\x7f";
    std::size_t rest = bytes.size() - 127;
    for (; rest >= 128; rest /= 128) {
      length += static_cast<char>(rest % 128 + 128);
    }
    return length + static_cast<char>(rest) + bytes;
  };
  return std::string(1, '\0') + text(name) + text(value);
}

constexpr unsigned kEndHeaders = NGHTTP2_FLAG_END_HEADERS;
constexpr unsigned kEndStream = NGHTTP2_FLAG_END_STREAM;

std::string Headers(const std::string& block, unsigned flags = 0, unsigned stream = 1) {
  return Frame(NGHTTP2_HEADERS, kEndHeaders | flags, stream, block);
}

std::string GoodHead(unsigned stream = 1) {
  return Headers(Field(":status", "200") + Field("content-type", "application/grpc"), 0, stream);
}

std::string Data(const std::string& bytes, unsigned flags = 0, unsigned stream = 1) {
  return Frame(NGHTTP2_DATA, flags, stream, bytes);
}

std::string Trailers(const std::string& status, unsigned stream = 1) {
  return Headers(Field("grpc-status", status), kEndStream, stream);
}

const std::string kEmptyMessage(5, '\0');

std::string GoodAnswer(unsigned stream = 1) {
  return GoodHead(stream) + Data(kEmptyMessage, 0, stream) + Trailers("0", stream);
}

std::string Repeat(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) {
    all += text;
  }
  return all;
}

class HostileServerTest : public testing::Test {
 protected:
  HostileServerTest() : tasks_(io_.get_executor()) {
    std::string pattern = "/tmp/credence-hostile-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    acceptor_ = std::make_unique<Local::acceptor>(io_, Local::endpoint(folder_ + "/socket"));
    channel_ = *MakeUnixChannel(client_, folder_ + "/socket");
  }
  ~HostileServerTest() override {
    client_.Close();
    RunTask(io_, tasks_.Stop());
    std::filesystem::remove_all(folder_);
  }

  enum class Then { kStay, kHangUp };

  /// The next connection gets `before` at once and `after` when the client has sent a call.
  void Serve(std::string before, std::string after, Then then = Then::kStay) {
    tasks_.Spawn("serve",
                 ServeOne(acceptor_.get(), std::move(before), std::move(after), then, &heard_));
  }

  static Task<void> ServeOne(Local::acceptor* acceptor,
                             std::string before,
                             std::string after,
                             Then then,
                             std::string* heard) {
    Local::socket socket = co_await acceptor->async_accept(asio::use_awaitable);
    boost::system::error_code failed;
    co_await asio::async_write(
        socket, asio::buffer(before), asio::redirect_error(asio::use_awaitable, failed));
    std::string buffer(65536, '\0');
    bool answered = false;
    // The path of a call stands in its first header block as it is.
    while (!failed) {
      const std::size_t count = co_await socket.async_read_some(
          asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, failed));
      heard->append(buffer, 0, count);
      const bool called = heard->find("credence-agent") != std::string::npos || heard->size() > 150;
      if (!failed && called && !answered) {
        answered = true;
        co_await asio::async_write(
            socket, asio::buffer(after), asio::redirect_error(asio::use_awaitable, failed));
        if (then == Then::kHangUp) {
          co_return;
        }
      }
    }
  }

  Result<PostStatusResponse> Call(std::chrono::milliseconds within = 5s) {
    auto call = CallUnary(channel_, kPost, PostStatusRequest(), Deadline::After(within));
    return RunTask(io_, std::move(call)).response;
  }

  asio::io_context io_;
  asio::thread_pool pool_{1};
  RpcClient client_{io_.get_executor(), pool_};
  TaskGroup tasks_;
  std::string folder_;
  std::string heard_;
  std::unique_ptr<Local::acceptor> acceptor_;
  SharedRpcChannel channel_;
};

TEST_F(HostileServerTest, AGoodAnswerPasses) {
  Serve(Settings(), GoodAnswer());
  EXPECT_THAT(Call(), IsOk());
}

TEST_F(HostileServerTest, GarbageInsteadOfHttp2IsUnavailable) {
  Serve("HTTP/1.1 400 Bad Request\r\n\r\n", "");
  EXPECT_THAT(Call(), FailsWith(Code::kUnavailable, HasSubstr("breaks HTTP/2")));
}

TEST_F(HostileServerTest, FirstFrameMustBeSettings) {
  Serve(Frame(NGHTTP2_PING, 0, 0, "12345678"), "");
  EXPECT_THAT(Call(), FailsWith(Code::kUnavailable, HasSubstr("cannot connect to")));
}

TEST_F(HostileServerTest, SilenceEndsAtTheDeadline) {
  Serve("", "");
  EXPECT_THAT(Call(200ms), FailsWithCode(Code::kDeadlineExceeded));
}

TEST_F(HostileServerTest, HangUpInTheMiddleIsUnavailable) {
  const std::string answers[] = {
      "", "\0\0"s, GoodHead(), GoodHead() + Data(kEmptyMessage).substr(0, 11)};
  for (const auto& answer : answers) {
    Serve(Settings(), answer, Then::kHangUp);
    EXPECT_THAT(Call(), FailsWith(Code::kUnavailable, HasSubstr("is lost")));
    heard_.clear();
  }
}

TEST_F(HostileServerTest, OddAnswersFailTheCall) {
  const std::pair<std::string, Code> cases[] = {
      {GoodHead() + Data(kEmptyMessage, kEndStream), Code::kUnknown},
      {GoodHead() + Headers(Field("x", "y"), kEndStream), Code::kUnknown},
      {GoodHead() + Data(kEmptyMessage) + Trailers("nonsense"), Code::kUnknown},
      {GoodHead() + Trailers("0"), Code::kInternal},
      {GoodHead() + Data("\0\0\0\0\x09half"s) + Trailers("0"), Code::kInternal},
      {GoodHead() + Data("\1\0\0\0\0"s) + Trailers("0"), Code::kInternal},
      {GoodHead() + Data("\7\0\0\0\0"s) + Trailers("0"), Code::kInternal},
      {GoodHead() + Data("\0\1\0\0\1"s), Code::kResourceExhausted},
      {GoodHead() + Data("\0\0\0\0\2\xff\xff"s) + Trailers("0"), Code::kInternal},
      {Headers(Field(":status", "503"), kEndStream), Code::kUnavailable},
      {Headers(Field(":status", "200") + Field("content-type", "text/html")) + Data("hello"),
       Code::kUnknown},
      {Headers(Field("no", "status")), Code::kInternal},
      {Headers(Field(":status", "200") + Field("Content-Type", "application/grpc")),
       Code::kInternal},
      {Frame(NGHTTP2_RST_STREAM, 0, 1, Number(NGHTTP2_ENHANCE_YOUR_CALM, 4)),
       Code::kResourceExhausted},
      {GoodHead() + Frame(NGHTTP2_RST_STREAM, 0, 1, Number(NGHTTP2_CANCEL, 4)), Code::kCancelled},
      {Frame(NGHTTP2_HEADERS, 0, 1, Field(":status", "200") + Field("a", std::string(15000, 'a'))) +
           Frame(NGHTTP2_CONTINUATION, 0, 1, Field("b", std::string(15000, 'b'))) +
           Frame(NGHTTP2_CONTINUATION, kEndHeaders, 1, Field("c", std::string(15000, 'c'))),
       Code::kResourceExhausted},
  };
  int number = 0;
  for (const auto& [answer, code] : cases) {
    heard_.clear();
    channel_ = *MakeUnixChannel(client_, folder_ + "/socket");
    Serve(Settings(), answer);
    EXPECT_THAT(Call(), FailsWithCode(code)) << "case " << number;
    ++number;
  }
}

TEST_F(HostileServerTest, FloodsEndTheConnection) {
  const std::string floods[] = {
      Repeat(Frame(NGHTTP2_PING, 0, 0, "12345678"), 5000),
      Repeat(Settings(), 5000),
      Repeat(Frame(NGHTTP2_PRIORITY, 0, 1, std::string(5, '\0')), 5000),
      Repeat(Frame(NGHTTP2_WINDOW_UPDATE, 0, 0, Number(1, 4)), 5000),
      GoodHead() + Repeat(Data(""), 5000),
      Repeat(Frame(0x77, 0, 0, ""), 200'000),
      Frame(NGHTTP2_HEADERS, 0, 1, Field(":status", "200")) +
          Repeat(Frame(NGHTTP2_CONTINUATION, 0, 1, Field("a", "b")), 5000),
  };
  int number = 0;
  for (const auto& flood : floods) {
    heard_.clear();
    channel_ = *MakeUnixChannel(client_, folder_ + "/socket");
    Serve(Settings(), flood);
    EXPECT_THAT(Call(), FailsWithCode(Code::kUnavailable)) << "case " << number;
    ++number;
  }
}

TEST_F(HostileServerTest, BrokenFramesEndTheConnection) {
  const std::string frames[] = {
      Frame(NGHTTP2_SETTINGS, 0, 0, "12345"),
      Frame(NGHTTP2_DATA, 0, 0, "x"),
      Frame(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, "") +
          Frame(NGHTTP2_PUSH_PROMISE, kEndHeaders, 1, Number(2, 4) + Field(":method", "GET")),
      Frame(NGHTTP2_HEADERS, kEndHeaders, 1, "\xff\xff\xff\xff\xff\xff"),
      Frame(NGHTTP2_WINDOW_UPDATE, 0, 0, Number(0, 4)),
      Frame(NGHTTP2_HEADERS, kEndHeaders, 2, Field(":status", "200")),
      Number(0xFFFFFF, 3) + Number(0, 1) + Number(0, 1) + Number(1, 4),
  };
  int number = 0;
  for (const auto& frame : frames) {
    heard_.clear();
    channel_ = *MakeUnixChannel(client_, folder_ + "/socket");
    Serve(Settings(), frame);
    EXPECT_THAT(Call(), FailsWith(Code::kUnavailable, HasSubstr("breaks HTTP/2")))
        << "case " << number;
    ++number;
  }
}

TEST_F(HostileServerTest, CallsGoToANewConnectionAfterGoaway) {
  const std::string goaway = Frame(NGHTTP2_GOAWAY, 0, 0, Number(1, 4) + Number(0, 4));
  Serve(Settings(), goaway + GoodAnswer());
  EXPECT_THAT(Call(), IsOk());
  heard_.clear();
  Serve(Settings(), GoodAnswer());
  EXPECT_THAT(Call(), IsOk());
}

TEST_F(HostileServerTest, ACallThatGoawayLeavesOutIsUnavailable) {
  Serve(Settings(), Frame(NGHTTP2_GOAWAY, 0, 0, Number(0, 4) + Number(0, 4)));
  EXPECT_THAT(Call(), FailsWithCode(Code::kUnavailable));
}

TEST_F(HostileServerTest, PingIsAnswered) {
  Serve(Settings() + Frame(NGHTTP2_PING, 0, 0, "12345678"), GoodAnswer());
  EXPECT_THAT(Call(), IsOk());
  EXPECT_THAT(heard_, HasSubstr(Frame(NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "12345678")));
}

TEST_F(HostileServerTest, CallsWaitForTheNumberThatTheServerAllows) {
  const std::string none = Frame(NGHTTP2_SETTINGS, 0, 0, Number(3, 2) + Number(0, 4));
  Serve(none, "");
  EXPECT_THAT(Call(200ms), FailsWithCode(Code::kDeadlineExceeded));
}

}  // namespace
}  // namespace credence
