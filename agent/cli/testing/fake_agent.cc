#include "agent/cli/testing/fake_agent.h"

#include <stdlib.h>

#include <filesystem>
#include <iterator>
#include <utility>

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include "base/core/check.h"

namespace credence {
namespace {

grpc::Status CheckHeader(const grpc::ServerContext& context) {
  const auto [first, last] = context.client_metadata().equal_range("workload.spiffe.io");
  const bool once = first != last && std::next(first) == last;
  return once && first->second == "true"
             ? grpc::Status::OK
             : grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "security header missing");
}

}  // namespace

FakeAgent::FakeAgent(Handler handler) : handler_(std::move(handler)) {
  folder_ = testing::TempDir() + "fake_agent.XXXXXX";
  CREDENCE_CHECK(mkdtemp(folder_.data()) != nullptr);
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + socket(), grpc::InsecureServerCredentials());
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  CREDENCE_CHECK(server_ != nullptr);
}

FakeAgent::~FakeAgent() {
  server_->Shutdown();
  std::filesystem::remove_all(folder_);
}

grpc::Status FakeAgent::GetCredential(grpc::ServerContext* context,
                                      const Request* request,
                                      Response* response) {
  const grpc::Status header = CheckHeader(*context);
  return header.ok() ? handler_(++calls_, *request, *response) : header;
}

grpc::Status FakeAgent::ListDestinations(grpc::ServerContext* context,
                                         const credential::v1::ListDestinationsRequest* /*request*/,
                                         credential::v1::ListDestinationsResponse* /*response*/) {
  return CheckHeader(*context);
}

grpc::Status FakeAgent::GetStatus(grpc::ServerContext* context,
                                  const credential::v1::GetStatusRequest* /*request*/,
                                  credential::v1::GetStatusResponse* /*response*/) {
  return CheckHeader(*context);
}

}  // namespace credence
