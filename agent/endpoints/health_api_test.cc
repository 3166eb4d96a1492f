#include "agent/endpoints/health_api.h"

#include <memory>
#include <optional>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>

#include "agent/endpoints/testing/fake_call.h"
#include "base/core/task_group.h"
#include "base/core/testing/run_task.h"

#include "grpc/health/v1/health.pb.h"

namespace credence {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

std::string RequestFor(const std::string& service) {
  HealthCheckRequest request;
  request.set_service(service);
  return request.SerializeAsString();
}

/// Probes bring no metadata.
class HealthApiTest : public testing::Test {
 protected:
  ~HealthApiTest() override { RunTask(io_, calls_.Stop()); }

  h2::UnaryReply Check(const std::string& service) {
    return RunTask(io_,
                   api_.Check(std::make_shared<FakeCall>("", CallMetadata{}), RequestFor(service)));
  }
  HealthCheckResponse::ServingStatus StatusOf(const SharedSecret& message) {
    return ParseAs<HealthCheckResponse>(message).status();
  }

  static Task<void> Keep(Task<h2::Status> call, std::optional<h2::Status>* ended) {
    auto status = co_await std::move(call);
    *ended = std::move(status);
  }
  std::shared_ptr<FakeCall> Watch(const std::string& service) {
    auto call = std::make_shared<FakeCall>(RequestFor(service), CallMetadata{});
    calls_.Spawn("watch", Keep(api_.Watch(call), &ended_));
    Run();
    return call;
  }
  /// Runs whatever can run now.
  void Run() {
    io_.restart();
    io_.poll();
  }
  void Sync() {
    store_.ReplaceEntries(std::make_shared<const EntryMap>());
    Run();
  }

  asio::io_context io_;
  IdentityStore store_{io_.get_executor()};
  HealthApi api_{store_};
  TaskGroup calls_{io_.get_executor()};
  std::optional<h2::Status> ended_;
};

TEST_F(HealthApiTest, CheckSaysServingFromTheFirstSyncOn) {
  const auto before = Check("");
  ASSERT_EQ(before.status.code, Code::kOk);
  EXPECT_EQ(StatusOf(before.message), HealthCheckResponse::NOT_SERVING);
  Sync();
  const auto after = Check("");
  ASSERT_EQ(after.status.code, Code::kOk);
  EXPECT_EQ(StatusOf(after.message), HealthCheckResponse::SERVING);
}

TEST_F(HealthApiTest, CheckOfAnotherServiceOrOfGarbageFails) {
  EXPECT_EQ(Check("SpiffeWorkloadAPI").status.code, Code::kNotFound);
  const auto call = std::make_shared<FakeCall>("", CallMetadata{});
  EXPECT_EQ(RunTask(io_, api_.Check(call, "\xff\xff")).status.code, Code::kInvalidArgument);
}

TEST_F(HealthApiTest, WatchSendsTheStatusAtOnceAndThenOnlyChanges) {
  const auto call = Watch("");
  ASSERT_EQ(call->written.size(), 1U);
  EXPECT_EQ(StatusOf(call->written[0]), HealthCheckResponse::NOT_SERVING);
  Sync();
  ASSERT_EQ(call->written.size(), 2U);
  EXPECT_EQ(StatusOf(call->written[1]), HealthCheckResponse::SERVING);
  store_.Publish();
  Run();
  EXPECT_EQ(call->written.size(), 2U);
  EXPECT_FALSE(ended_.has_value());
}

TEST_F(HealthApiTest, WatchOfAnUnknownServiceSaysSoAndStaysOpen) {
  const auto call = Watch("SpiffeWorkloadAPI");
  ASSERT_EQ(call->written.size(), 1U);
  EXPECT_EQ(StatusOf(call->written[0]), HealthCheckResponse::SERVICE_UNKNOWN);
  Sync();
  EXPECT_EQ(call->written.size(), 1U);
  EXPECT_FALSE(ended_.has_value());
}

TEST_F(HealthApiTest, WatchOfGarbageFails) {
  auto call = std::make_shared<FakeCall>("\xff\xff", CallMetadata{});
  EXPECT_EQ(RunTask(io_, api_.Watch(call)).code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace credence
