#include "base/h2/server.h"

#include <unistd.h>

#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"
#include "base/h2/testing/server_fixture.h"
#include "base/wire/testing/gzip_text.h"

namespace credence::h2 {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Half = TestClient::Half;

/// A handler with a bug.
Task<UnaryReply> BreakDown() {
  throw std::runtime_error("out of cheese");
  co_return Status::Ok();
}

TEST_F(ServerTest, AnswersAUnaryCall) {
  Start();
  TestClient& client = Connect();
  const auto id = client.Call("/t/Echo", FrameMessage("hello"));
  EXPECT_EQ(StatusOf(client, id), "0");
  EXPECT_THAT(client.answer(id).Messages(), ElementsAre("hello"));
  EXPECT_EQ(client.answer(id).Field(":status"), "200");
  EXPECT_EQ(client.answer(id).Field("content-type"), "application/grpc");
  EXPECT_EQ(client.answer(id).header_blocks, 2);
  EXPECT_EQ(client.answer(id).error, 0U);
}

TEST_F(ServerTest, FailureIsTrailersOnlyWithEncodedMessageAndDetails) {
  Start();
  TestClient& client = Connect();
  const auto id = client.Call("/t/Echo", FrameMessage("stop:100%\n\xC3\xA9"));
  EXPECT_EQ(StatusOf(client, id), "9");
  EXPECT_EQ(client.answer(id).header_blocks, 1);
  EXPECT_EQ(client.answer(id).Field("grpc-message"), "stop:100%25%0A%C3%A9");
  EXPECT_EQ(client.answer(id).Field("grpc-status-details-bin"), "ZGV0YWlscw");
}

TEST_F(ServerTest, EmptyMessagesPassThrough) {
  Start();
  TestClient& client = Connect();
  const auto id = client.Call("/t/Echo", FrameMessage(""));
  EXPECT_EQ(StatusOf(client, id), "0");
  EXPECT_THAT(client.answer(id).Messages(), ElementsAre(""));
}

TEST_F(ServerTest, UnaryCallThatEndsOnItsHeadersIsAnswered) {
  Start();
  TestClient& client = Connect();
  const auto id = client.Call("/t/Echo", "");
  EXPECT_EQ(StatusOf(client, id), "3");
}

TEST_F(ServerTest, SecondMessageOfAUnaryCallIsUnimplemented) {
  Start();
  TestClient& client = Connect();
  const auto id = client.Call("/t/Echo", FrameMessage("a") + FrameMessage("b"));
  EXPECT_EQ(StatusOf(client, id), "12");
}

TEST_F(ServerTest, RequestCutInsideAMessageIsInvalid) {
  Start();
  TestClient& client = Connect();
  const auto id = client.Call("/t/Echo", FrameMessage("hello").substr(0, 7));
  EXPECT_EQ(StatusOf(client, id), "3");
}

TEST_F(ServerTest, UnknownMethodIsUnimplemented) {
  Start();
  TestClient& client = Connect();
  const auto id = client.Call("/t/Nothing", FrameMessage("x"));
  EXPECT_EQ(StatusOf(client, id), "12");
  EXPECT_THAT(client.answer(id).Field("grpc-message"), HasSubstr("/t/Nothing"));
}

TEST_F(ServerTest, WrongContentTypeGets415) {
  Start();
  TestClient& client = Connect();
  const auto id =
      client.Call("/t/Echo", FrameMessage("x"), Half::kEnded, {{"content-type", "text/plain"}});
  EXPECT_EQ(StatusOf(client, id), "");
  EXPECT_EQ(client.answer(id).Field(":status"), "415");
}

TEST_F(ServerTest, AuthorityMayBeAnything) {
  Start();
  for (const char* authority : {"/tmp/agent.sock", "%2Ftmp%2Fagent.sock", "", "unix:/x"}) {
    TestClient& client = Connect();
    const auto id = client.CallWith({{":method", "POST"},
                                     {":scheme", "http"},
                                     {":path", "/t/Echo"},
                                     {":authority", authority},
                                     {"content-type", "application/grpc"}},
                                    FrameMessage("x"),
                                    Half::kEnded);
    EXPECT_EQ(StatusOf(client, id), "0") << authority;
  }
}

TEST_F(ServerTest, StreamsBothWays) {
  Start();
  TestClient& client = Connect();
  const auto id = client.Call("/t/Chat", FrameMessage("one"), Half::kOpen);
  ASSERT_TRUE(RunUntil([&] { return client.answer(id).Messages().size() == 1; }));
  client.Send(id, FrameMessage("two"));
  ASSERT_TRUE(RunUntil([&] { return client.answer(id).Messages().size() == 2; }));
  EXPECT_FALSE(client.answer(id).closed);
  client.Send(id, FrameMessage("three"), Half::kEnded);
  EXPECT_EQ(StatusOf(client, id), "0");
  EXPECT_THAT(client.answer(id).Messages(), ElementsAre("one", "two", "three"));
}

TEST_F(ServerTest, LargeMessagesPassBothWays) {
  Start();
  TestClient& client = Connect();
  const std::string large = GzipNoise((std::size_t{4} << 20) - 10);
  const auto id = client.Call("/t/Echo", FrameMessage(large));
  EXPECT_EQ(StatusOf(client, id), "0");
  EXPECT_TRUE(client.answer(id).Messages() == std::vector<std::string>{large});
}

TEST_F(ServerTest, MessageOverTheLimitIsRefusedAndTheConnectionLives) {
  Start();
  TestClient& client = Connect();
  const auto id =
      client.Call("/t/Echo", FrameMessage(std::string((std::size_t{4} << 20) + 1, 'x')));
  EXPECT_EQ(StatusOf(client, id), "8");
  const auto next = client.Call("/t/Echo", FrameMessage("y"));
  EXPECT_EQ(StatusOf(client, next), "0");
}

TEST_F(ServerTest, GzipRequestsAreDecompressed) {
  Start();
  TestClient& client = Connect();
  const auto id = client.Call(
      "/t/Echo", FrameMessage(Gzip("packed"), 1), Half::kEnded, {{"grpc-encoding", "gzip"}});
  EXPECT_EQ(StatusOf(client, id), "0");
  EXPECT_THAT(client.answer(id).Messages(), ElementsAre("packed"));
}

TEST_F(ServerTest, GzipBombIsRefused) {
  Start();
  TestClient& client = Connect();
  const std::string bomb = Gzip(std::string(std::size_t{32} << 20, '\0'));
  const auto id =
      client.Call("/t/Echo", FrameMessage(bomb, 1), Half::kEnded, {{"grpc-encoding", "gzip"}});
  EXPECT_EQ(StatusOf(client, id), "8");
}

TEST_F(ServerTest, UnknownEncodingIsUnimplementedAndNamesTheKnownOnes) {
  Start();
  TestClient& client = Connect();
  const auto id =
      client.Call("/t/Echo", FrameMessage("x", 1), Half::kEnded, {{"grpc-encoding", "br"}});
  EXPECT_EQ(StatusOf(client, id), "12");
  EXPECT_EQ(client.answer(id).Field("grpc-accept-encoding"), "identity,gzip");
}

TEST_F(ServerTest, SlowReaderHoldsUpItsOwnHandlerOnly) {
  Start();
  TestClient& client = Connect(TestClient::Windows::kNeverUpdated);
  const auto id = client.Call("/t/Flow", "");
  RunFor(std::chrono::milliseconds(100));
  EXPECT_EQ(client.answer(id).body.size(), 65535U);
  EXPECT_LE(flow_written_, 2);
  EXPECT_TRUE(ServesOthers());
}

TEST_F(ServerTest, FastReaderGetsAStreamWithoutEnd) {
  Start();
  TestClient& client = Connect();
  const auto id = client.Call("/t/Flow", "");
  EXPECT_TRUE(RunUntil([&] { return client.answer(id).body.size() > (std::size_t{8} << 20); }));
}

TEST_F(ServerTest, UploadToAHandlerThatDoesNotReadIsBounded) {
  Start();
  TestClient& client = Connect();
  std::string upload;
  for (int i = 0; i < 100; ++i) {
    upload += FrameMessage(std::string(10'000, 'u'));
  }
  const auto id = client.Call("/t/Hold", upload, Half::kOpen);
  ASSERT_TRUE(RunUntil([&] { return !client.answer(id).Messages().empty(); }));
  RunFor(std::chrono::milliseconds(50));
  EXPECT_FALSE(client.answer(id).closed);
  const auto other = client.Call("/t/Echo", FrameMessage("x"));
  EXPECT_EQ(StatusOf(client, other), "0");
}

TEST_F(ServerTest, DeadlineOfTheClientEndsTheCallAndItsHandler) {
  Start();
  TestClient& client = Connect();
  const auto id =
      client.Call("/t/Stuck", FrameMessage("x"), Half::kEnded, {{"grpc-timeout", "20m"}});
  EXPECT_EQ(StatusOf(client, id), "4");
  EXPECT_TRUE(RunUntil([&] { return cancelled_ == 1; }));
  EXPECT_EQ(server_->stats().calls, 0U);
}

TEST_F(ServerTest, UnaryCallHasADeadlineOfItsOwn) {
  Start({.unary_timeout = std::chrono::milliseconds(20)});
  TestClient& client = Connect();
  const auto id = client.Call("/t/Stuck", FrameMessage("x"));
  EXPECT_EQ(StatusOf(client, id), "4");
}

TEST_F(ServerTest, DeadlineInTheMiddleOfAStreamResetsIt) {
  Start();
  TestClient& client = Connect();
  const auto id = client.Call("/t/Hold", "", Half::kOpen, {{"grpc-timeout", "50m"}});
  EXPECT_EQ(StatusOf(client, id), "");
  EXPECT_EQ(client.answer(id).error, static_cast<std::uint32_t>(NGHTTP2_CANCEL));
  EXPECT_TRUE(RunUntil([&] { return cancelled_ == 1; }));
}

TEST_F(ServerTest, ResetCancelsTheHandler) {
  Start();
  TestClient& client = Connect();
  const auto id = client.Call("/t/Hold", "", Half::kOpen);
  ASSERT_TRUE(RunUntil([&] { return !client.answer(id).Messages().empty(); }));
  client.Cancel(id);
  EXPECT_TRUE(RunUntil([&] { return cancelled_ == 1 && server_->stats().calls == 0; }));
  const auto next = client.Call("/t/Echo", FrameMessage("still here"));
  EXPECT_EQ(StatusOf(client, next), "0");
}

TEST_F(ServerTest, HangUpCancelsAllHandlersOfTheConnection) {
  Start();
  TestClient& client = Connect();
  for (int i = 0; i < 50; ++i) {
    client.Call("/t/Hold", "", Half::kOpen);
  }
  ASSERT_TRUE(RunUntil([&] { return server_->stats().calls == 50; }));
  client.HangUp();
  EXPECT_TRUE(RunUntil([&] {
    return cancelled_ == 50 && server_->stats().calls == 0 && server_->stats().connections == 0;
  }));
}

TEST_F(ServerTest, CallerIsTheProcessThatConnected) {
  server_ = std::make_unique<Server>(io_.get_executor(), ServerOptions{});
  std::shared_ptr<ServerCall> seen;
  server_->HandleUnary("/t/Who", [&](std::shared_ptr<ServerCall> call, std::string) {
    seen = std::move(call);
    return BreakDown();
  });
  ASSERT_THAT(server_->Listen(socket_path(), 0777), IsOk());
  TestClient& client = Connect();
  const auto id =
      client.Call("/t/Who", FrameMessage(""), Half::kEnded, {{"workload.spiffe.io", "true"}});
  EXPECT_EQ(StatusOf(client, id), "13");
  ASSERT_NE(seen, nullptr);
  EXPECT_EQ(seen->caller()->pid, getpid());
  EXPECT_EQ(seen->caller()->uid, getuid());
  EXPECT_EQ(seen->path(), "/t/Who");
  EXPECT_THAT(seen->Metadata("workload.spiffe.io"), ElementsAre("true"));
  EXPECT_THAT(seen->Metadata("authorization"), IsEmpty());
  EXPECT_LE(seen->deadline().Remaining(), std::chrono::seconds(30));
  clients_.clear();
  StopServer();
  server_.reset();
  // A call that outlives its server fails, and is safe.
  EXPECT_THAT(RunTask(io_, seen->Read()), FailsWithCode(Code::kCancelled));
  EXPECT_THAT(RunTask(io_, seen->Write(ShareText("x"))), FailsWithCode(Code::kCancelled));
}

}  // namespace
}  // namespace credence::h2
