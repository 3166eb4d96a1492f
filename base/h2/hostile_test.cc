#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include "base/core/testing/result_matchers.h"
#include "base/h2/server.h"
#include "base/h2/testing/server_fixture.h"
#include "base/wire/testing/gzip_text.h"

/// There only when a sanitizer is linked in. Source: sanitizer/allocator_interface.h.
extern "C" __attribute__((weak)) std::size_t
__sanitizer_get_current_allocated_bytes();  // NOLINT(bugprone-reserved-identifier): its name

namespace credence::h2 {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using Half = TestClient::Half;

/// Bytes on the heap. The sanitizers keep what was freed, so resident memory says little there.
std::size_t HeldBytes() {
  return __sanitizer_get_current_allocated_bytes != nullptr
             ? __sanitizer_get_current_allocated_bytes()
             : mallinfo2().uordblks;
}

std::string Repeat(const std::string& text, int count) {
  std::string all;
  all.reserve(text.size() * static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    all += text;
  }
  return all;
}

/// A header block without Huffman coding or indexing: POST `path`.
std::string Headers(const std::string& path) {
  const auto literal = [](const std::string& name, const std::string& value) {
    return std::string(1, '\0') + static_cast<char>(name.size()) + name +
           static_cast<char>(value.size()) + value;
  };
  return "\x83\x86" + literal(":path", path) + literal(":authority", "x") +
         literal("content-type", "application/grpc");
}

std::string HoldHeaders() {
  return Headers("/t/Hold");
}

std::string OpenedStream() {
  return RawPreface() + RawFrame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, HoldHeaders());
}

/// HEADERS and RST_STREAM, `count` times.
std::string Resets(int count) {
  std::string all = RawPreface();
  for (int i = 0; i < count; ++i) {
    const auto id = static_cast<std::uint32_t>(2 * i + 1);
    all += RawFrame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, HoldHeaders());
    all += RawFrame(NGHTTP2_RST_STREAM, 0, id, std::string("\0\0\0\x8", 4));
  }
  return all;
}

/// Calls of a method that does not exist.
std::string UnknownCalls(int count) {
  std::string all = RawPreface();
  for (int i = 0; i < count; ++i) {
    all += RawFrame(NGHTTP2_HEADERS,
                    NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM,
                    static_cast<std::uint32_t>(2 * i + 1),
                    Headers("/t/Nope"));
  }
  return all;
}

/// A field of 3,000 bytes put into the decoder's table and then named 1,000 times with one byte
/// each.
std::string HpackBomb() {
  const std::string entry = std::string("\x40\x01") + "a" + "\x7F\xB9\x16" + std::string(3000, 'b');
  return HoldHeaders() + entry + std::string(1000, '\xBE');
}

struct Flood {
  const char* name;
  std::string bytes;
};

std::vector<Flood> Floods() {
  constexpr int kMany = 20'000;
  const std::string window_by_one("\0\0\0\1", 4);
  return {
      {"Ping", RawPreface() + Repeat(RawFrame(NGHTTP2_PING, 0, 0, "12345678"), kMany)},
      {"PingAck",
       RawPreface() + Repeat(RawFrame(NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "12345678"), kMany)},
      {"Settings", RawPreface() + Repeat(RawFrame(NGHTTP2_SETTINGS, 0, 0, ""), kMany)},
      {"SettingsAck",
       RawPreface() + Repeat(RawFrame(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, ""), kMany)},
      {"RapidReset", Resets(kMany)},
      {"UnknownMethod", UnknownCalls(kMany)},
      {"EmptyData", OpenedStream() + Repeat(RawFrame(NGHTTP2_DATA, 0, 1, ""), kMany)},
      {"PaddedData",
       OpenedStream() +
           Repeat(RawFrame(NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, std::string("\x3\0\0\0", 4)),
                  kMany)},
      {"ByteWiseData",
       OpenedStream() + Repeat(RawFrame(NGHTTP2_DATA, 0, 1, std::string(1, '\0')), kMany)},
      {"WindowUpdate",
       RawPreface() + Repeat(RawFrame(NGHTTP2_WINDOW_UPDATE, 0, 0, window_by_one), kMany)},
      {"Priority",
       RawPreface() + Repeat(RawFrame(NGHTTP2_PRIORITY, 0, 1, std::string(5, '\0')), kMany)},
      {"UnknownFrame", RawPreface() + Repeat(RawFrame(0xBE, 0, 0, std::string(100, 'x')), kMany)},
      {"Continuation",
       RawPreface() + RawFrame(NGHTTP2_HEADERS, 0, 1, HoldHeaders()) +
           Repeat(RawFrame(NGHTTP2_CONTINUATION, 0, 1, std::string("\0\1a\1b", 5)), kMany)},
      {"ReusedStream",
       Repeat(OpenedStream(), 1) + Repeat(OpenedStream().substr(RawPreface().size()), kMany)},
      {"HpackBomb",
       RawPreface() + RawFrame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, HpackBomb())},
      {"Noise", GzipNoise(100'000)},
      {"HttpOne", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
      {"HugeFrame", RawPreface() + std::string("\xFF\xFF\xFF\0\0\0\0\0\1", 9)},
  };
}

class FloodedServerTest : public ServerTest, public testing::WithParamInterface<std::size_t> {};

TEST_P(FloodedServerTest, ClosesThatConnectionAndNothingElse) {
  Start();
  TestClient& good = Connect();
  const auto held = good.Call("/t/Hold", "", Half::kOpen);
  ASSERT_TRUE(RunUntil([&] { return !good.answer(held).Messages().empty(); }));
  const std::size_t before = HeldBytes();
  TestClient& attacker = Connect();
  attacker.SendRaw(Floods()[GetParam()].bytes);
  EXPECT_TRUE(RunUntil([&] { return attacker.hung_up(); }));
  EXPECT_LT(HeldBytes(), before + (std::size_t{8} << 20));
  EXPECT_TRUE(RunUntil([&] { return server_->stats().connections == 1; }));
  EXPECT_EQ(server_->stats().floods_closed, 1U);
  EXPECT_EQ(server_->stats().calls, 1U);
  EXPECT_TRUE(ServesOthers());
  EXPECT_FALSE(good.answer(held).closed);
  EXPECT_FALSE(good.hung_up());
}

INSTANTIATE_TEST_SUITE_P(Hostile,
                         FloodedServerTest,
                         testing::Range<std::size_t>(0, Floods().size()),
                         [](const auto& each) { return Floods()[each.param].name; });

TEST_F(ServerTest, PriorityFramesAreHarmless) {
  Start();
  TestClient& client = Connect();
  client.SendRaw(RawPreface() +
                 Repeat(RawFrame(NGHTTP2_PRIORITY, 0, 3, std::string("\x80\0\0\1\xFF", 5)), 50));
  RunFor(milliseconds(20));
  EXPECT_FALSE(client.hung_up());
  EXPECT_TRUE(ServesOthers());
}

TEST_F(ServerTest, UsefulPingsAreAnswered) {
  Start();
  TestClient& client = Connect();
  for (int i = 0; i < 2000; ++i) {
    client.Ping();
    const auto id = client.Call("/t/Echo", FrameMessage("x"));
    ASSERT_EQ(StatusOf(client, id), "0") << i;
  }
  EXPECT_EQ(client.pings_answered(), 2000U);
}

TEST_F(ServerTest, HeadersOverTheLimitAreRefused) {
  Start();
  TestClient& client = Connect();
  const auto id =
      client.Call("/t/Echo", FrameMessage("x"), Half::kEnded, {{"x", std::string(20'000, 'y')}});
  EXPECT_EQ(StatusOf(client, id), "8");
  const auto next = client.Call("/t/Echo", FrameMessage("y"));
  EXPECT_EQ(StatusOf(client, next), "0");
}

TEST_F(ServerTest, ConnectionThatSendsNothingIsClosed) {
  Start({.preface_timeout = milliseconds(30)});
  TestClient& silent = Connect();
  const auto mute = std::move(clients_.back());
  clients_.pop_back();
  RunFor(milliseconds(10));
  EXPECT_EQ(server_->stats().connections, 1U);
  EXPECT_TRUE(RunUntil([&] { return server_->stats().connections == 0; }));
  silent.Pump();
  EXPECT_TRUE(silent.hung_up());
}

TEST_F(ServerTest, ConnectionWithoutACallIsSentAwayAndOneWithACallStays) {
  Start({.idle_timeout = milliseconds(50)});
  TestClient& idle = Connect();
  TestClient& busy = Connect();
  const auto held = busy.Call("/t/Hold", "", Half::kOpen);
  EXPECT_TRUE(RunUntil([&] { return idle.hung_up(); }));
  ASSERT_FALSE(idle.goaways().empty());
  EXPECT_EQ(idle.goaways().front().first, static_cast<std::uint32_t>(NGHTTP2_NO_ERROR));
  RunFor(milliseconds(200));
  EXPECT_FALSE(busy.hung_up());
  busy.Cancel(held);
  EXPECT_TRUE(RunUntil([&] { return busy.hung_up(); }));
}

TEST_F(ServerTest, PingsDoNotKeepAConnectionWithoutACallOpen) {
  Start({.idle_timeout = milliseconds(300)});
  TestClient& client = Connect();
  const auto id = client.Call("/t/Echo", FrameMessage("x"));
  ASSERT_EQ(StatusOf(client, id), "0");
  for (int pings = 0; pings < 40 && !client.hung_up(); ++pings) {
    client.Ping();
    RunFor(milliseconds(50));
  }
  EXPECT_TRUE(client.hung_up());
  EXPECT_GT(client.pings_answered(), 0U);
  ASSERT_FALSE(client.goaways().empty());
  EXPECT_EQ(client.goaways().front().first, static_cast<std::uint32_t>(NGHTTP2_NO_ERROR));
}

TEST_F(ServerTest, CallsOverTheCapOfAConnectionAreRefused) {
  Start({.max_streams_per_connection = 10});
  TestClient& client = Connect();
  std::string raw = RawPreface();
  for (std::uint32_t id = 1; id < 40; id += 2) {
    raw += RawFrame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, HoldHeaders());
  }
  client.SendRaw(raw);
  RunFor(milliseconds(50));
  EXPECT_LE(server_->stats().calls, 10U);
  EXPECT_TRUE(ServesOthers());
}

TEST_F(ServerTest, CallsOverTheCapOfAUserAreRefusedWithUnavailable) {
  Start({.max_streams_per_uid = 3});
  TestClient& client = Connect();
  for (int i = 0; i < 3; ++i) {
    client.Call("/t/Hold", "", Half::kOpen);
  }
  ASSERT_TRUE(RunUntil([&] { return server_->stats().calls == 3; }));
  TestClient& other = Connect();
  const auto id = other.Call("/t/Echo", FrameMessage("x"));
  EXPECT_EQ(StatusOf(other, id), "14");
  EXPECT_EQ(server_->stats().calls_refused, 1U);
  client.HangUp();
  EXPECT_TRUE(RunUntil([&] { return server_->stats().calls == 0; }));
  EXPECT_TRUE(ServesOthers());
}

TEST_F(ServerTest, ConnectionsOverTheCapOfAUserAreClosedAtOnce) {
  Start({.max_connections_per_uid = 5});
  for (int i = 0; i < 5; ++i) {
    Connect();
  }
  ASSERT_TRUE(RunUntil([&] { return server_->stats().connections == 5; }));
  TestClient& sixth = Connect();
  EXPECT_TRUE(RunUntil([&] { return sixth.hung_up(); }));
  EXPECT_EQ(server_->stats().connections_refused, 1U);
  clients_.front()->HangUp();
  ASSERT_TRUE(RunUntil([&] { return server_->stats().connections == 4; }));
  EXPECT_TRUE(ServesOthers());
}

TEST_F(ServerTest, RequestBytesOfAUserAreBounded) {
  Start({.max_request_bytes_per_uid = std::size_t{1} << 20});
  const std::string upload = FrameMessage(std::string(400'000, 'x'));
  TestClient& client = Connect();
  client.Call("/t/Stuck", upload);
  client.Call("/t/Stuck", upload);
  ASSERT_TRUE(RunUntil([&] { return stuck_ == 2; }));
  TestClient& other = Connect();
  const auto refused = other.Call("/t/Echo", upload);
  EXPECT_EQ(StatusOf(other, refused), "8");
  EXPECT_TRUE(ServesOthers());
}

TEST_F(ServerTest, UnreadStreamsOnEightConnectionsCostOthersNothing) {
  Start();
  for (int i = 0; i < 8; ++i) {
    TestClient& client = Connect();
    for (int j = 0; j < 100; ++j) {
      client.Call("/t/Flow", "");
    }
    client.Pump();
  }
  // Their answers are never read: they are pumped no more.
  const auto unread = std::move(clients_);
  clients_.clear();
  RunFor(milliseconds(200));
  EXPECT_EQ(server_->stats().calls, 800U);
  const int written = flow_written_;
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(ServesOthers());
  }
  EXPECT_EQ(flow_written_, written);
}

TEST_F(ServerTest, ClientThatNeverReadsItsSocketHoldsUpItsOwnHandlerOnly) {
  Start();
  TestClient& client = Connect();
  // Both flow-control windows are as wide as they get: only the socket holds the stream up.
  client.SendRaw(RawPreface() +
                 RawFrame(NGHTTP2_SETTINGS, 0, 0, std::string("\0\4\x7F\xFF\xFF\xFF", 6)) +
                 RawFrame(NGHTTP2_WINDOW_UPDATE, 0, 0, std::string("\x70\0\0\0", 4)) +
                 RawFrame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, Headers("/t/Flow")));
  client.Pump();
  const auto unread = std::move(clients_);
  clients_.clear();
  RunFor(milliseconds(100));
  EXPECT_GE(flow_written_, 1);
  EXPECT_LE(flow_written_, 8);
  EXPECT_TRUE(ServesOthers());
}

/// A client of `server` with both windows as wide as they get, so that only its socket holds back
/// what it asks for.
std::string WideOpenFlow() {
  return RawPreface() + RawFrame(NGHTTP2_SETTINGS, 0, 0, std::string("\0\4\x7F\xFF\xFF\xFF", 6)) +
         RawFrame(NGHTTP2_WINDOW_UPDATE, 0, 0, std::string("\x70\0\0\0", 4)) +
         RawFrame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, Headers("/t/Flow"));
}

TEST_F(ServerTest, UnreadAnswersOfAUserAreBounded) {
  Start({.max_unread_bytes_per_uid = std::size_t{256} << 10});
  for (int i = 0; i < 12; ++i) {
    TestClient& client = Connect();
    client.SendRaw(WideOpenFlow());
    client.Pump();
  }
  const auto unread = std::move(clients_);
  clients_.clear();
  EXPECT_TRUE(RunUntil([&] { return server_->stats().connections < 10; }));
  RunFor(milliseconds(50));
  EXPECT_GE(server_->stats().connections, 2U);
  EXPECT_TRUE(ServesOthers());
}

TEST_F(ServerTest, AnswersThatAClientsWindowsHoldBackAreBoundedToo) {
  Start({.max_unread_bytes_per_uid = std::size_t{64} << 10});
  TestClient& client = Connect();
  std::string calls =
      RawPreface() + RawFrame(NGHTTP2_SETTINGS, 0, 0, std::string("\0\4\0\0\0\0", 6));
  for (std::uint32_t id = 1; id < 20; id += 2) {
    calls += RawFrame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, Headers("/t/Flow"));
  }
  client.SendRaw(calls);
  EXPECT_TRUE(RunUntil([&] { return server_->stats().calls_started == 10; }));
  EXPECT_TRUE(RunUntil([&] { return server_->stats().calls == 4; }))
      << "each counts 16 KiB, and what finds no room ends";
  EXPECT_FALSE(client.hung_up());
  client.HangUp();
  EXPECT_TRUE(RunUntil([&] { return server_->stats().connections == 0; }));
  EXPECT_TRUE(ServesOthers()) << "all was given back";
}

TEST_F(ServerTest, ClientThatDoesNotReadIsNotReadFrom) {
  Start();
  TestClient& client = Connect();
  client.SendRaw(WideOpenFlow());
  client.Pump();
  const auto unread = std::move(clients_);
  clients_.clear();
  RunFor(milliseconds(50));
  // Were they read, they would end the connection.
  unread.front()->SendRaw(Repeat(RawFrame(NGHTTP2_PING, 0, 0, "12345678"), 20'000));
  unread.front()->PumpOut();
  RunFor(milliseconds(50));
  EXPECT_EQ(server_->stats().connections, 1U);
  EXPECT_EQ(server_->stats().floods_closed, 0U);
}

TEST_F(ServerTest, HeaderBlockThatDoesNotEndEndsTheConnection) {
  Start({.preface_timeout = milliseconds(50)});
  TestClient& client = Connect();
  client.SendRaw(RawPreface() + RawFrame(NGHTTP2_HEADERS, 0, 1, HoldHeaders()));
  RunFor(milliseconds(10));
  EXPECT_FALSE(client.hung_up());
  EXPECT_TRUE(RunUntil([&] { return client.hung_up(); }));
}

TEST_F(ServerTest, AnswersOfEverySizeAroundTheSendBufferArriveWhole) {
  Start();
  TestClient& client = Connect();
  // Head, four DATA frames and trailers end somewhere around 64 KiB.
  for (std::size_t size = 65'300; size < 65'530; ++size) {
    const std::string text(size, 'x');
    const auto id = client.Call("/t/Echo", FrameMessage(text));
    ASSERT_EQ(StatusOf(client, id), "0") << size;
    ASSERT_THAT(client.answer(id).Messages(), ElementsAre(text)) << size;
  }
}

TEST_F(ServerTest, CallsThatAreCutGiveTheWindowBack) {
  Start();
  TestClient& client = Connect();
  const std::string upload = FrameMessage(std::string(15'000, 'x'));
  std::string raw = RawPreface();
  for (std::uint32_t id = 1; id < 200; id += 2) {
    raw += RawFrame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, Headers("/t/Echo"));
    raw += RawFrame(NGHTTP2_DATA, 0, id, upload);
    raw += RawFrame(NGHTTP2_RST_STREAM, 0, id, std::string("\0\0\0\x8", 4));
  }
  client.SendRaw(raw);
  RunFor(milliseconds(100));
  EXPECT_FALSE(client.hung_up());
  EXPECT_EQ(server_->stats().floods_closed, 0U);
}

TEST_F(ServerTest, UploadToARefusedCallIsNoFlood) {
  Start();
  TestClient& client = Connect();
  for (int i = 0; i < 8; ++i) {
    const auto refused = client.Call("/t/Nope", std::string(60'000, 'x'));
    EXPECT_EQ(StatusOf(client, refused), "12");
    const auto good = client.Call("/t/Echo", FrameMessage("x"));
    ASSERT_EQ(StatusOf(client, good), "0") << i;
  }
}

TEST_F(ServerTest, CallsAndHangUpsAgainAndAgainCostOthersNothing) {
  Start();
  ASSERT_TRUE(ServesOthers());
  const std::size_t before = HeldBytes();
  for (int round = 0; round < 50; ++round) {
    {
      TestClient attacker(socket_path());
      for (int i = 0; i < 200; ++i) {
        attacker.Call(i % 2 == 0 ? "/t/Hold" : "/t/Stuck", FrameMessage("x"));
      }
      attacker.Pump();
    }
    if (round % 10 == 0) {
      EXPECT_TRUE(ServesOthers());
    }
  }
  EXPECT_TRUE(RunUntil([&] { return server_->stats().calls == 0; }));
  EXPECT_LT(HeldBytes(), before + (std::size_t{16} << 20));
}

TEST_F(ServerTest, ThousandCallersInOneInstantAreAllServed) {
  Start();
  std::vector<std::pair<TestClient*, std::int32_t>> calls;
  for (int i = 0; i < 1000; ++i) {
    TestClient& client = Connect();
    calls.emplace_back(&client, client.Call("/t/Hold", "", Half::kOpen));
    client.Pump();
  }
  EXPECT_TRUE(RunUntil([&] {
    return std::ranges::all_of(calls, [](const auto& call) {
      return !call.first->answer(call.second).Messages().empty();
    });
  }));
  EXPECT_EQ(server_->stats().calls, 1000U);
  EXPECT_EQ(server_->stats().connections_refused, 0U);
}

TEST_F(ServerTest, OutOfDescriptorsMakesNewCallersWaitAndNobodyFail) {
  Start();
  TestClient& old = Connect();
  ASSERT_TRUE(RunUntil([&] { return server_->stats().connections == 1; }));
  rlimit normal{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &normal), 0);
  auto waiting = std::make_unique<TestClient>(socket_path());
  const rlimit low{100, normal.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  std::vector<UniqueFd> hoarded;
  for (;;) {
    UniqueFd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) {
      break;
    }
    hoarded.push_back(std::move(fd));
  }
  clients_.push_back(std::move(waiting));
  TestClient& late = *clients_.back();
  const auto late_call = late.Call("/t/Echo", FrameMessage("late"));
  const auto old_call = old.Call("/t/Echo", FrameMessage("old"));
  EXPECT_EQ(StatusOf(old, old_call), "0");
  RunFor(milliseconds(50));
  EXPECT_FALSE(late.answer(late_call).closed);
  hoarded.clear();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &normal), 0);
  EXPECT_EQ(StatusOf(late, late_call), "0");
}

}  // namespace
}  // namespace credence::h2
