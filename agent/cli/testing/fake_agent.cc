#include "agent/cli/testing/fake_agent.h"

#include <stdlib.h>

#include <filesystem>
#include <iterator>
#include <memory>
#include <utility>

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include "base/core/check.h"

#include "spiffe/workload/workload.pb.h"

namespace credence {
namespace {

grpc::Status CheckHeader(const grpc::ServerContext& context) {
  const auto [first, last] = context.client_metadata().equal_range("workload.spiffe.io");
  const bool once = first != last && std::next(first) == last;
  return once && first->second == "true"
             ? grpc::Status::OK
             : grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "security header missing");
}

/// Reads one request, answers it, and deletes itself when gRPC is done with it.
class JwtSvidReactor final : public grpc::ServerGenericBidiReactor {
 public:
  JwtSvidReactor(std::string jwt_svid, bool served) : jwt_svid_(std::move(jwt_svid)) {
    if (served) {
      StartRead(&request_);
    } else {
      Finish(grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "not served here"));
    }
  }

  void OnReadDone(bool ok) override {
    if (!ok || jwt_svid_.empty()) {
      Finish(grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "no identity issued"));
      return;
    }
    spiffe::workload::JWTSVIDResponse response;
    response.add_svids()->set_svid(jwt_svid_);
    const grpc::Slice bytes(response.SerializeAsString());
    response_ = grpc::ByteBuffer(&bytes, 1);
    StartWriteAndFinish(&response_, grpc::WriteOptions(), grpc::Status::OK);
  }
  void OnDone() override { const std::unique_ptr<JwtSvidReactor> self(this); }

 private:
  std::string jwt_svid_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;
};

}  // namespace

grpc::ServerGenericBidiReactor* FakeWorkloadApi::CreateReactor(
    grpc::GenericCallbackServerContext* context) {
  return std::make_unique<JwtSvidReactor>(jwt_svid_,
                                          context->method() == "/SpiffeWorkloadAPI/FetchJWTSVID")
      .release();
}

FakeAgent::FakeAgent(Handler handler) : FakeAgent(std::move(handler), Answers()) {}

FakeAgent::FakeAgent(Handler handler, Answers answers)
    : handler_(std::move(handler)), answers_(std::move(answers)), workload_api_(answers_.jwt_svid) {
  folder_ = testing::TempDir() + "fake_agent.XXXXXX";
  CREDENCE_CHECK(mkdtemp(folder_.data()) != nullptr);
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + socket(), grpc::InsecureServerCredentials());
  builder.RegisterService(this);
  builder.RegisterCallbackGenericService(&workload_api_);
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

grpc::Status FakeAgent::CheckDestination(grpc::ServerContext* context,
                                         const credential::v1::CheckDestinationRequest* /*request*/,
                                         credential::v1::CheckDestinationResponse* response) {
  *response = answers_.check;
  return CheckHeader(*context);
}

grpc::Status FakeAgent::GetStatus(grpc::ServerContext* context,
                                  const credential::v1::GetStatusRequest* /*request*/,
                                  credential::v1::GetStatusResponse* response) {
  *response = answers_.status;
  return CheckHeader(*context);
}

}  // namespace credence
