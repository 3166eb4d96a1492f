#include "base/rpc/call.h"

#include <stdlib.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <gmock/gmock.h>
#include <grpc/support/time.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include "base/core/task_group.h"
#include "base/core/testing/ignore_sigpipe.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"

#include "spire/api/server/agent/v1/agent.grpc.pb.h"

namespace credence {
namespace {

using spire::api::server::agent::v1::Agent;
using spire::api::server::agent::v1::AttestAgentRequest;
using spire::api::server::agent::v1::AttestAgentResponse;
using spire::api::server::agent::v1::PostStatusRequest;
using spire::api::server::agent::v1::PostStatusResponse;
using testing::HasSubstr;
using testing::SizeIs;
using namespace std::chrono_literals;

void WaitForCancellation(const grpc::ServerContext& context) {
  while (!context.IsCancelled()) {
    gpr_sleep_until(
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(2, GPR_TIMESPAN)));
  }
}

/// Does what the request's agent_version says.
class ObedientServer final : public Agent::Service {
 public:
  grpc::Status PostStatus(grpc::ServerContext* context,
                          const PostStatusRequest* request,
                          PostStatusResponse* /*response*/) override {
    const auto& order = request->agent_version();
    if (order == "hang") {
      WaitForCancellation(*context);
      ++cancelled;
      return grpc::Status::CANCELLED;
    }
    if (order == "fail") {
      return {grpc::StatusCode::PERMISSION_DENIED, std::string(5000, 'x'), "the details"};
    }
    if (order == "need header") {
      const auto header = context->client_metadata().find("workload.spiffe.io");
      const bool there = header != context->client_metadata().end() && header->second == "true";
      return there ? grpc::Status::OK
                   : grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "header is missing");
    }
    return grpc::Status::OK;
  }

  /// Echoes challenge responses; "bye" ends the call with an error, "hang" and "echo and hang" wait
  /// for its end.
  grpc::Status AttestAgent(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<AttestAgentResponse, AttestAgentRequest>* stream) override {
    AttestAgentRequest request;
    while (stream->Read(&request)) {
      if (request.challenge_response() == "bye") {
        return {grpc::StatusCode::ABORTED, "as you wish"};
      }
      if (request.challenge_response() == "hang") {
        WaitForCancellation(*context);
        ++cancelled;
        return grpc::Status::CANCELLED;
      }
      AttestAgentResponse response;
      response.set_challenge(request.challenge_response());
      stream->Write(response);
      if (request.challenge_response() == "echo and hang") {
        WaitForCancellation(*context);
        ++cancelled;
      }
    }
    return grpc::Status::OK;
  }

  std::atomic<int> cancelled = 0;
};

class CallTest : public testing::Test {
 protected:
  CallTest() {
    std::string pattern = "/tmp/credence-rpc-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + folder_ + "/socket", grpc::InsecureServerCredentials());
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    channel_ = *MakeUnixChannel(client_, folder_ + "/socket");
  }
  ~CallTest() override {
    channel_.reset();
    server_->Shutdown(gpr_time_0(GPR_CLOCK_MONOTONIC));
    server_->Wait();
    std::filesystem::remove_all(folder_);
  }

  static constexpr RpcMethod<PostStatusRequest, PostStatusResponse> kPost{
      "/spire.api.server.agent.v1.Agent/PostStatus"};
  static constexpr RpcMethod<AttestAgentRequest, AttestAgentResponse> kAttest{
      "/spire.api.server.agent.v1.Agent/AttestAgent"};

  Task<RpcOutcome<PostStatusResponse>> Post(std::string order,
                                            Deadline deadline = Deadline::After(10s)) {
    PostStatusRequest request;
    request.set_agent_version(order);
    return CallUnary(channel_, kPost, std::move(request), deadline);
  }

  std::unique_ptr<BidiStream<AttestAgentRequest, AttestAgentResponse>> Open(Deadline deadline) {
    return std::make_unique<BidiStream<AttestAgentRequest, AttestAgentResponse>>(
        channel_, kAttest, deadline);
  }

  asio::io_context io_;
  asio::thread_pool pool_{1};
  RpcClient client_{io_.get_executor(), pool_};
  std::string folder_;
  ObedientServer service_;
  std::unique_ptr<grpc::Server> server_;
  SharedRpcChannel channel_;
};

AttestAgentRequest Saying(std::string text) {
  AttestAgentRequest request;
  request.set_challenge_response(std::move(text));
  return request;
}

TEST_F(CallTest, UnaryCallSucceeds) {
  const auto outcome = RunTask(io_, Post("fine"));
  EXPECT_THAT(outcome.response, IsOk());
  EXPECT_EQ(outcome.details, "");
}

TEST_F(CallTest, ErrorKeepsCodeAndDetailsAndCutsTheMessage) {
  const auto outcome = RunTask(io_, Post("fail"));
  ASSERT_THAT(outcome.response, FailsWith(Code::kPermissionDenied, SizeIs(1024)));
  EXPECT_EQ(outcome.details, "the details");
}

TEST_F(CallTest, SendsHeaders) {
  PostStatusRequest request;
  request.set_agent_version("need header");
  RpcMetadata metadata;
  metadata.emplace_back("workload.spiffe.io", "true");
  auto call = CallUnary(channel_, kPost, std::move(request), Deadline::After(10s), metadata);
  EXPECT_THAT(RunTask(io_, std::move(call)).response, IsOk());
}

TEST_F(CallTest, DeadlineEndsTheCall) {
  const auto begin = std::chrono::steady_clock::now();
  const auto outcome = RunTask(io_, Post("hang", Deadline::After(100ms)));
  EXPECT_THAT(outcome.response, FailsWithCode(Code::kDeadlineExceeded));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
}

Task<void> PostAndNote(Task<RpcOutcome<PostStatusResponse>> call, bool* returned) {
  const auto outcome = co_await std::move(call);
  *returned = outcome.response.ok();
}

Task<void> StopAfter(TaskGroup* group, std::chrono::milliseconds delay) {
  co_await Sleep(delay);
  co_await group->Stop();
}

TEST_F(CallTest, CancellationReachesTheServerAndTheCallerWaits) {
  TaskGroup group(io_.get_executor());
  bool returned = false;
  group.Spawn("post", PostAndNote(Post("hang"), &returned));
  RunTask(io_, StopAfter(&group, 100ms));
  EXPECT_FALSE(returned);
  EXPECT_TRUE(group.empty());
  server_->Shutdown(gpr_time_0(GPR_CLOCK_MONOTONIC));
  EXPECT_EQ(service_.cancelled, 1);
}

TEST_F(CallTest, AbsentServerIsUnavailable) {
  channel_ = *MakeUnixChannel(client_, folder_ + "/nobody");
  EXPECT_THAT(RunTask(io_, Post("fine")).response, FailsWithCode(Code::kUnavailable));
}

TEST_F(CallTest, DeadlineInThePastFailsAtOnce) {
  EXPECT_THAT(RunTask(io_, Post("fine", Deadline::After(0ms))).response,
              FailsWithCode(Code::kDeadlineExceeded));
}

Task<std::string> Converse(BidiStream<AttestAgentRequest, AttestAgentResponse>* stream) {
  std::string heard;
  bool going = co_await stream->Start();
  for (int turn = 0; going && turn < 3; ++turn) {
    going = co_await stream->Write(Saying(std::string(1, static_cast<char>('a' + turn))));
    auto response = co_await stream->Read();
    heard += response.has_value() ? response->challenge() : "?";
  }
  const bool half_closed = co_await stream->WritesDone();
  const auto end = co_await stream->Read();
  const auto outcome = co_await stream->Finish();
  heard += half_closed && !end.has_value() && outcome.response.ok() ? "." : "!";
  co_return heard;
}

TEST_F(CallTest, StreamCarriesMessagesBothWays) {
  const auto stream = Open(Deadline::After(10s));
  EXPECT_EQ(RunTask(io_, Converse(stream.get())), "abc.");
}

Task<RpcOutcome<void>> SayOnce(BidiStream<AttestAgentRequest, AttestAgentResponse>* stream,
                               std::string word) {
  const bool started = co_await stream->Start();
  EXPECT_TRUE(started);
  auto request = Saying(std::move(word));
  const bool written = co_await stream->Write(std::move(request));
  EXPECT_TRUE(written);
  const auto response = co_await stream->Read();
  EXPECT_FALSE(response.has_value());
  co_return co_await stream->Finish();
}

TEST_F(CallTest, StreamEndedByTheServerTellsWhy) {
  const auto stream = Open(Deadline::After(10s));
  const auto outcome = RunTask(io_, SayOnce(stream.get(), "bye"));
  EXPECT_THAT(outcome.response, FailsWith(Code::kAborted, HasSubstr("as you wish")));
}

TEST_F(CallTest, StreamEndsAtItsDeadline) {
  const auto stream = Open(Deadline::After(1500ms));
  const auto outcome = RunTask(io_, SayOnce(stream.get(), "hang"));
  EXPECT_THAT(outcome.response, FailsWithCode(Code::kDeadlineExceeded));
}

Task<bool> SayAndLeave(BidiStream<AttestAgentRequest, AttestAgentResponse>* stream) {
  const bool started = co_await stream->Start();
  auto request = Saying("echo and hang");
  const bool written = co_await stream->Write(std::move(request));
  const auto response = co_await stream->Read();
  co_return started&& written&& response.has_value();
}

TEST_F(CallTest, StreamDroppedHalfWayIsCancelledAtTheServer) {
  auto stream = Open(Deadline::After(60s));
  EXPECT_TRUE(RunTask(io_, SayAndLeave(stream.get())));
  stream.reset();
  server_->Shutdown(
      gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(5, GPR_TIMESPAN)));
  EXPECT_EQ(service_.cancelled, 1);
}

Task<void> PostInto(Task<RpcOutcome<PostStatusResponse>> call, int* succeeded) {
  const auto outcome = co_await std::move(call);
  *succeeded += outcome.response.ok() ? 1 : 0;
}

TEST_F(CallTest, ManyCallsAtOnceShareAConnection) {
  TaskGroup group(io_.get_executor());
  int succeeded = 0;
  for (int i = 0; i < 300; ++i) {
    group.Spawn("post", PostInto(Post("fine"), &succeeded));
  }
  const auto limit = Deadline::After(10s);
  while (succeeded < 300 && !limit.Passed()) {
    RunTask(io_, Sleep(5ms));
  }
  EXPECT_EQ(succeeded, 300);
  RunTask(io_, group.Stop());
}

Task<std::size_t> Exchange(BidiStream<AttestAgentRequest, AttestAgentResponse>* stream,
                           std::size_t bytes) {
  const bool started = co_await stream->Start();
  EXPECT_TRUE(started);
  auto request = Saying(std::string(bytes, 'x'));
  const bool written = co_await stream->Write(std::move(request));
  EXPECT_TRUE(written);
  const auto response = co_await stream->Read();
  co_return response.has_value() ? response->challenge().size() : 0;
}

TEST_F(CallTest, LargeMessagesPassBothWays) {
  // The server's library may sleep until the deadline before it stops.
  const auto stream = Open(Deadline::After(3s));
  constexpr std::size_t kBytes = (std::size_t{4} << 20) - 100;
  EXPECT_EQ(RunTask(io_, Exchange(stream.get(), kBytes)), kBytes);
}

TEST_F(CallTest, TheEndOfTheClientEndsCallsUnderWay) {
  TaskGroup group(io_.get_executor());
  bool returned = false;
  group.Spawn("post", PostAndNote(Post("hang"), &returned));
  RunTask(io_, Sleep(50ms));
  client_.Close();
  RunTask(io_, Sleep(1ms));
  EXPECT_TRUE(group.empty());
  EXPECT_FALSE(returned);
  EXPECT_THAT(RunTask(io_, Post("fine")).response, FailsWithCode(Code::kUnavailable));
  RunTask(io_, group.Stop());
}

TEST_F(CallTest, AClosedClientLeavesTheEventLoopNothingToWaitFor) {
  EXPECT_THAT(RunTask(io_, Post("fine")).response, IsOk());
  client_.Close();
  io_.restart();
  io_.run_for(5s);
  EXPECT_TRUE(io_.stopped());
}

TEST_F(CallTest, CallAfterTheServerCameBackSucceeds) {
  EXPECT_THAT(RunTask(io_, Post("fine")).response, IsOk());
  server_->Shutdown(gpr_time_0(GPR_CLOCK_MONOTONIC));
  server_->Wait();
  RunTask(io_, Sleep(20ms));  // the end of the old connection is seen
  EXPECT_THAT(RunTask(io_, Post("fine")).response, FailsWithCode(Code::kUnavailable));
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + folder_ + "/socket", grpc::InsecureServerCredentials());
  ObedientServer again;
  builder.RegisterService(&again);
  const auto server = builder.BuildAndStart();
  // At once the last failure is still the answer.
  EXPECT_THAT(RunTask(io_, Post("fine")).response, FailsWithCode(Code::kUnavailable));
  RunTask(io_, Sleep(300ms));
  EXPECT_THAT(RunTask(io_, Post("fine")).response, IsOk());
  client_.Close();
  server->Shutdown(gpr_time_0(GPR_CLOCK_MONOTONIC));
}

}  // namespace
}  // namespace credence
