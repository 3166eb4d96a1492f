#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>

#include "agent/cli/held_state.h"

#include "credence/credential/v1/credential.grpc.pb.h"

namespace credence {

/// FetchJWTSVID of the Workload API, whose path has no package and so no generated service.
class FakeWorkloadApi final : public grpc::CallbackGenericService {
 public:
  explicit FakeWorkloadApi(std::string jwt_svid) : jwt_svid_(std::move(jwt_svid)) {}

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override;

 private:
  std::string jwt_svid_;
};

/// Serves the credential API in a folder of its own, as an agent would, from now until it goes. A
/// call without the security header is INVALID_ARGUMENT.
class FakeAgent final : private credential::v1::CredentialAPI::Service {
 public:
  using Request = credential::v1::GetCredentialRequest;
  using Response = credential::v1::GetCredentialResponse;
  /// Answers one GetCredential; runs on threads of the server. `number` counts the calls from 1.
  using Handler = std::function<grpc::Status(int number, const Request&, Response&)>;

  /// What the other calls answer. A JWT-SVID of "" is
  /// PERMISSION_DENIED.
  struct Answers {
    credential::v1::CheckDestinationResponse check;
    credential::v1::GetStatusResponse status;
    std::string jwt_svid;
  };

  explicit FakeAgent(Handler handler);
  FakeAgent(Handler handler, Answers answers);
  ~FakeAgent() override;
  FakeAgent(const FakeAgent&) = delete;
  FakeAgent& operator=(const FakeAgent&) = delete;

  const std::string& folder() const { return folder_; }
  std::string socket() const { return folder_ + "/api.sock"; }

 private:
  grpc::Status GetCredential(grpc::ServerContext* context,
                             const Request* request,
                             Response* response) override;
  grpc::Status ListDestinations(grpc::ServerContext* context,
                                const credential::v1::ListDestinationsRequest* request,
                                credential::v1::ListDestinationsResponse* response) override;
  grpc::Status CheckDestination(grpc::ServerContext* context,
                                const credential::v1::CheckDestinationRequest* request,
                                credential::v1::CheckDestinationResponse* response) override;
  grpc::Status GetStatus(grpc::ServerContext* context,
                         const credential::v1::GetStatusRequest* request,
                         credential::v1::GetStatusResponse* response) override;

  /// Before the server starts threads: none of them takes a signal that a test sends.
  HeldState held_;
  Handler handler_;
  Answers answers_;
  FakeWorkloadApi workload_api_;
  std::atomic<int> calls_ = 0;
  std::string folder_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace credence
