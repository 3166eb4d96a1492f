#include "base/h2/testing/server_fixture.h"

#include <stdlib.h>

#include <filesystem>
#include <utility>

#include "base/core/check.h"
#include "base/core/testing/run_task.h"

namespace credence::h2 {
namespace {

constexpr std::chrono::seconds kPatience{10};
constexpr std::size_t kFlowMessage = std::size_t{64} << 10;

/// Counts a handler that ends before its time.
class CountOnExit {
 public:
  explicit CountOnExit(int& count) : count_(count) {}
  ~CountOnExit() { ++count_; }
  CountOnExit(const CountOnExit&) = delete;
  CountOnExit& operator=(const CountOnExit&) = delete;

 private:
  int& count_;
};

Task<UnaryReply> Echo(std::shared_ptr<ServerCall> /*call*/, std::string request) {
  if (request.starts_with("stop:")) {
    co_return Status{Code::kFailedPrecondition, request, "details"};
  }
  co_return ShareText(request);
}

Task<UnaryReply> Stale(std::shared_ptr<ServerCall> call, std::string /*request*/) {
  call->AskToReconnect();
  co_return Status{Code::kUnavailable, "stale", ""};
}

Task<UnaryReply> Stuck(int* begun, int* cancelled) {
  ++*begun;
  const CountOnExit count(*cancelled);
  co_await SleepUntil(Deadline::At(SteadyTime::max()));
  co_return Status::Ok();
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
    auto written = co_await call->Write(ShareText(**message));
    if (!written.ok()) {
      co_return Status::From(written.error());
    }
  }
}

Task<Status> Flow(std::shared_ptr<ServerCall> call, int* written) {
  const SharedSecret message = ShareText(std::string(kFlowMessage, 'f'));
  for (;;) {
    ++*written;
    auto sent = co_await call->Write(message);
    if (!sent.ok()) {
      co_return Status::From(sent.error());
    }
  }
}

Task<Status> Hold(std::shared_ptr<ServerCall> call, int* cancelled) {
  const CountOnExit count(*cancelled);
  auto sent = co_await call->Write(ShareText("held"));
  if (!sent.ok()) {
    co_return Status::From(sent.error());
  }
  co_await SleepUntil(Deadline::At(SteadyTime::max()));
  co_return Status::Ok();
}

}  // namespace

SharedSecret ShareText(std::string_view text) {
  return std::make_shared<const SecretBytes>(SecretBytes::CopyOf(text));
}

ServerTest::ServerTest() {
  std::string pattern = (std::filesystem::temp_directory_path() / "h2-test-XXXXXX").string();
  CREDENCE_CHECK(mkdtemp(pattern.data()) != nullptr);
  folder_ = pattern;
  socket_path_ = folder_ + "/public/api.sock";
}

ServerTest::~ServerTest() {
  clients_.clear();
  if (server_) {
    StopServer();
  }
  server_.reset();
  std::filesystem::remove_all(folder_);
}

Server& ServerTest::Start(ServerOptions options) {
  server_ = std::make_unique<Server>(io_.get_executor(), options);
  server_->HandleUnary("/t/Echo", Echo);
  server_->HandleUnary("/t/Stuck", [this](std::shared_ptr<ServerCall>, std::string) {
    return Stuck(&stuck_, &cancelled_);
  });
  server_->HandleUnary("/t/Stale", Stale);
  server_->Handle("/t/Chat", Chat);
  server_->Handle("/t/Flow", [this](std::shared_ptr<ServerCall> call) {
    return Flow(std::move(call), &flow_written_);
  });
  server_->Handle("/t/Hold", [this](std::shared_ptr<ServerCall> call) {
    return Hold(std::move(call), &cancelled_);
  });
  const auto listening = server_->Listen(socket_path_, 0777);
  CREDENCE_CHECK(listening.ok());
  return *server_;
}

void ServerTest::StopServer(std::chrono::milliseconds within) {
  RunTask(io_, server_->Stop(Deadline::After(within)));
}

TestClient& ServerTest::Connect(TestClient::Windows windows) {
  return *clients_.emplace_back(std::make_unique<TestClient>(socket_path_, windows));
}

bool ServerTest::RunUntil(const std::function<bool()>& reached) {
  const Deadline patience = Deadline::After(kPatience);
  while (!patience.Passed()) {
    for (const auto& client : clients_) {
      client->Pump();
    }
    if (reached()) {
      return true;
    }
    io_.restart();
    if (io_.poll() == 0) {
      io_.run_one_for(std::chrono::milliseconds(1));
    }
  }
  return false;
}

void ServerTest::RunFor(std::chrono::milliseconds time) {
  const Deadline end = Deadline::After(time);
  RunUntil([&] { return end.Passed(); });
}

std::string ServerTest::StatusOf(TestClient& client, std::int32_t id) {
  EXPECT_TRUE(RunUntil([&] { return client.answer(id).closed || client.hung_up(); }));
  return client.answer(id).grpc_status();
}

bool ServerTest::ServesOthers() {
  const Deadline second = Deadline::After(std::chrono::seconds(1));
  TestClient& client = Connect();
  const auto id = client.Call("/t/Echo", FrameMessage("good"));
  const bool done = RunUntil([&] { return client.answer(id).closed || second.Passed(); });
  return done && client.answer(id).grpc_status() == "0" &&
         client.answer(id).Messages() == std::vector<std::string>{"good"};
}

}  // namespace credence::h2
