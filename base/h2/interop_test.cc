#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/channel_arguments.h>
#include <gtest/gtest.h>

#include "base/core/deadline.h"
#include "base/h2/testing/server_fixture.h"
#include "base/wire/testing/gzip_text.h"

// gRPC's own C++ client against this server. It runs on threads of its own; ours serves and waits.
namespace credence::h2 {
namespace {

grpc::ByteBuffer ToBuffer(std::string_view text) {
  const grpc::Slice slice(text.data(), text.size());
  return grpc::ByteBuffer(&slice, 1);
}

std::string ToText(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string text;
  if (buffer.Dump(&slices).ok()) {
    for (const grpc::Slice& slice : slices) {
      text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
  }
  return text;
}

class InteropTest : public ServerTest {
 protected:
  InteropTest() {
    Start();
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    arguments.SetMaxSendMessageSize(-1);
    stub_ = std::make_unique<grpc::GenericStub>(grpc::CreateCustomChannel(
        "unix:" + socket_path(), grpc::InsecureChannelCredentials(), arguments));
  }

  ~InteropTest() override {
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  /// Serves until the client's operation with `tag` is done. True if it succeeded.
  bool Await(void* expected) {
    void* tag = nullptr;
    bool ok = false;
    const bool done = RunUntil([&] {
      const gpr_timespec at_once = gpr_inf_past(GPR_CLOCK_MONOTONIC);
      return queue_.AsyncNext(&tag, &ok, at_once) == grpc::CompletionQueue::GOT_EVENT;
    });
    EXPECT_TRUE(done);
    EXPECT_EQ(tag, expected);
    return done && ok;
  }

  grpc::Status Unary(const std::string& method,
                     std::string_view request,
                     std::string* reply,
                     grpc::ClientContext* context = nullptr) {
    const grpc::ByteBuffer message = ToBuffer(request);
    auto call =
        stub_->PrepareUnaryCall(context == nullptr ? &context_ : context, method, message, &queue_);
    call->StartCall();
    grpc::ByteBuffer answer;
    grpc::Status status;
    call->Finish(&answer, &status, this);
    EXPECT_TRUE(Await(this));
    *reply = ToText(answer);
    return status;
  }

  grpc::CompletionQueue queue_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericStub> stub_;
};

TEST_F(InteropTest, UnaryCall) {
  std::string reply;
  const grpc::Status status = Unary("/t/Echo", "hello", &reply);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(reply, "hello");
}

TEST_F(InteropTest, FailureWithMessageAndDetails) {
  std::string reply;
  const grpc::Status status = Unary("/t/Echo", "stop:100% \n \xC3\xA9", &reply);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(status.error_message(), "stop:100% \n \xC3\xA9");
  EXPECT_EQ(status.error_details(), "details");
}

TEST_F(InteropTest, LargeMessages) {
  const std::string large = GzipNoise(std::size_t{4} << 20);
  std::string reply;
  const grpc::Status status = Unary("/t/Echo", large, &reply);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(reply == large);
}

TEST_F(InteropTest, MessageOverTheLimit) {
  std::string reply;
  const grpc::Status status =
      Unary("/t/Echo", std::string((std::size_t{4} << 20) + 1, 'x'), &reply);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(InteropTest, GzipRequest) {
  context_.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  std::string reply;
  const grpc::Status status = Unary("/t/Echo", std::string(2000, 'z'), &reply);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(reply, std::string(2000, 'z'));
}

TEST_F(InteropTest, DeflateRequestIsUnimplemented) {
  context_.set_compression_algorithm(GRPC_COMPRESS_DEFLATE);
  std::string reply;
  EXPECT_EQ(Unary("/t/Echo", std::string(2000, 'z'), &reply).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(InteropTest, AClientThatIsAskedToReconnectsForItsNextCall) {
  std::string reply;
  EXPECT_EQ(Unary("/t/Stale", "x", &reply).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(server_->stats().accepted, 1U);
  grpc::ClientContext next;
  EXPECT_TRUE(Unary("/t/Echo", "hello", &reply, &next).ok());
  EXPECT_EQ(reply, "hello");
  EXPECT_EQ(server_->stats().accepted, 2U);
  EXPECT_TRUE(RunUntil([&] { return server_->stats().connections == 1; }));
}

TEST_F(InteropTest, UnknownMethod) {
  std::string reply;
  EXPECT_EQ(Unary("/t/Nothing", "x", &reply).error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(InteropTest, StreamsBothWays) {
  auto call = stub_->PrepareCall(&context_, "/t/Chat", &queue_);
  call->StartCall(this);
  ASSERT_TRUE(Await(this));
  for (const char* text : {"one", "", "three"}) {
    call->Write(ToBuffer(text), this);
    ASSERT_TRUE(Await(this));
    grpc::ByteBuffer answer;
    call->Read(&answer, this);
    ASSERT_TRUE(Await(this));
    EXPECT_EQ(ToText(answer), text);
  }
  call->WritesDone(this);
  EXPECT_TRUE(Await(this));
  grpc::Status status;
  call->Finish(&status, this);
  EXPECT_TRUE(Await(this));
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(InteropTest, CancelReachesTheHandler) {
  auto call = stub_->PrepareCall(&context_, "/t/Hold", &queue_);
  call->StartCall(this);
  ASSERT_TRUE(Await(this));
  grpc::ByteBuffer answer;
  call->Read(&answer, this);
  ASSERT_TRUE(Await(this));
  EXPECT_EQ(ToText(answer), "held");
  context_.TryCancel();
  grpc::Status status;
  call->Finish(&status, this);
  EXPECT_TRUE(Await(this));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(RunUntil([&] { return cancelled_ == 1; }));
}

TEST_F(InteropTest, DeadlineOfTheClient) {
  context_.set_deadline(
      gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(50, GPR_TIMESPAN)));
  std::string reply;
  EXPECT_EQ(Unary("/t/Stuck", "x", &reply).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(RunUntil([&] { return cancelled_ == 1; }));
}

TEST_F(InteropTest, FlowingStream) {
  auto call = stub_->PrepareCall(&context_, "/t/Flow", &queue_);
  call->StartCall(this);
  ASSERT_TRUE(Await(this));
  for (int i = 0; i < 100; ++i) {
    grpc::ByteBuffer answer;
    call->Read(&answer, this);
    ASSERT_TRUE(Await(this));
    EXPECT_EQ(answer.Length(), std::size_t{64} << 10);
  }
  context_.TryCancel();
  grpc::Status status;
  call->Finish(&status, this);
  EXPECT_TRUE(Await(this));
}

}  // namespace
}  // namespace credence::h2
