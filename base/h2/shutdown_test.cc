#include <filesystem>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/task_group.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"
#include "base/h2/server.h"
#include "base/h2/testing/server_fixture.h"

namespace credence::h2 {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;
using testing::Pair;
using Half = TestClient::Half;

constexpr std::uint32_t kNoError = NGHTTP2_NO_ERROR;

/// Answers after a while.
Task<UnaryReply> AnswerLater() {
  co_await Sleep(milliseconds(100));
  co_return ShareText("late");
}

TEST_F(ServerTest, StopSaysGoawayTwiceAndClosesIdleConnections) {
  Start();
  TestClient& client = Connect();
  const auto id = client.Call("/t/Echo", FrameMessage("x"));
  ASSERT_EQ(StatusOf(client, id), "0");
  const auto before = SystemClock().SteadyNow();
  StopServer();
  EXPECT_LE(SystemClock().SteadyNow() - before, milliseconds(500));
  EXPECT_TRUE(RunUntil([&] { return client.hung_up(); }));
  EXPECT_THAT(client.goaways(), ElementsAre(Pair(kNoError, 0x7FFFFFFF), Pair(kNoError, id)));
  EXPECT_FALSE(std::filesystem::exists(socket_path()));
}

TEST_F(ServerTest, StopLetsUnaryCallsFinishAndEndsStreams) {
  server_ = std::make_unique<Server>(io_.get_executor(), ServerOptions{});
  server_->HandleUnary("/t/Late",
                       [](std::shared_ptr<ServerCall>, std::string) { return AnswerLater(); });
  server_->Handle("/t/Hold", [](std::shared_ptr<ServerCall> call) -> Task<Status> {
    auto none = co_await call->Read();
    co_return none.ok() ? Status::Ok() : Status::From(none.error());
  });
  ASSERT_THAT(server_->Listen(socket_path(), 0777), IsOk());
  TestClient& client = Connect();
  const auto stream = client.Call("/t/Hold", "", Half::kOpen);
  const auto unary = client.Call("/t/Late", FrameMessage("x"));
  ASSERT_TRUE(RunUntil([&] { return server_->stats().calls == 2; }));
  TaskGroup stopping(io_.get_executor());
  stopping.Spawn("stop", server_->Stop(Deadline::After(std::chrono::seconds(2))));
  EXPECT_TRUE(RunUntil([&] { return stopping.empty() && client.hung_up(); }));
  EXPECT_EQ(client.answer(stream).grpc_status(), "14");
  EXPECT_THAT(client.answer(stream).Field("grpc-message"), HasSubstr("shutting down"));
  EXPECT_EQ(client.answer(unary).grpc_status(), "0");
  EXPECT_THAT(client.answer(unary).Messages(), ElementsAre("late"));
}

TEST_F(ServerTest, StopCutsWhatIsNotDoneAtTheDeadline) {
  Start();
  TestClient& client = Connect();
  const auto id = client.Call("/t/Stuck", FrameMessage("x"));
  ASSERT_TRUE(RunUntil([&] { return server_->stats().calls == 1; }));
  const auto before = SystemClock().SteadyNow();
  StopServer(milliseconds(60));
  EXPECT_THAT(SystemClock().SteadyNow() - before,
              AllOf(Ge(milliseconds(60)), Le(milliseconds(1000))));
  EXPECT_EQ(cancelled_, 1);
  EXPECT_TRUE(RunUntil([&] { return client.hung_up(); }));
  EXPECT_EQ(client.answer(id).grpc_status(), "14");
}

TEST_F(ServerTest, AskingToReconnectLeavesOpenCallsAloneAndTakesNoNewOnes) {
  Start();
  TestClient& client = Connect();
  const auto chat = client.Call("/t/Chat", FrameMessage("one"), Half::kOpen);
  ASSERT_TRUE(RunUntil([&] { return client.answer(chat).Messages().size() == 1; }));
  const auto stale = client.Call("/t/Stale", FrameMessage("x"));
  EXPECT_EQ(StatusOf(client, stale), "14");
  EXPECT_THAT(client.goaways(), ElementsAre(Pair(kNoError, stale)));
  client.Send(chat, FrameMessage("two"), Half::kEnded);
  EXPECT_EQ(StatusOf(client, chat), "0");
  EXPECT_THAT(client.answer(chat).Messages(), ElementsAre("one", "two"));
  EXPECT_TRUE(RunUntil([&] { return client.hung_up(); }));
}

TEST_F(ServerTest, StopTwiceAndStopWithoutListenAreFine) {
  Start();
  StopServer();
  StopServer();
  Server idle(io_.get_executor(), {});
  RunTask(io_, idle.Stop(Deadline::After(milliseconds(10))));
}

TEST_F(ServerTest, StopCancelledInTheMiddleCanBeRepeated) {
  Start();
  TestClient& client = Connect();
  (void)client.Call("/t/Stuck", FrameMessage("x"));
  ASSERT_TRUE(RunUntil([&] { return server_->stats().calls == 1; }));
  TaskGroup stopping(io_.get_executor());
  stopping.Spawn("stop", server_->Stop(Deadline::After(std::chrono::seconds(60))));
  RunFor(milliseconds(50));
  RunTask(io_, stopping.Stop());
  StopServer(milliseconds(20));
  EXPECT_EQ(cancelled_, 1);
}

TEST_F(ServerTest, NewServerTakesThePathAfterStop) {
  Start();
  Server second(io_.get_executor(), {});
  EXPECT_THAT(second.Listen(socket_path(), 0777), FailsWithCode(Code::kAlreadyExists));
  StopServer();
  Start();
  EXPECT_TRUE(ServesOthers());
}

}  // namespace
}  // namespace credence::h2
