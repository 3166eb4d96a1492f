#include "agent/cli/agent_client.h"

#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "agent/cli/environment.h"
#include "base/core/clock.h"

#include "google/rpc/status.pb.h"

namespace credence {
namespace {

constexpr std::string_view kDefaultSocket = "/tmp/spire-agent/public/api.sock";

RefusedCall Explain(const grpc::Status& status, const std::string& socket_path) {
  const auto code = static_cast<Code>(status.error_code());
  std::string message = status.error_message();
  if (code == Code::kUnavailable && status.error_details().empty() &&
      message.find("connect") != std::string::npos) {
    message = fmt::format("no agent answers on {}", socket_path);
    return RefusedCall{Error(code, message),
                       "",
                       "start it with `credence run`, or name its socket with --socket",
                       ""};
  }
  RefusedCall refused{Error(code, std::move(message)), "", "", ""};
  google::rpc::Status details;
  if (details.ParseFromString(status.error_details())) {
    for (const auto& detail : details.details()) {
      credential::v1::Refusal refusal;
      if (detail.UnpackTo(&refusal)) {
        refused.fact = refusal.fact();
        refused.fix = refusal.fix();
        refused.decision_id = refusal.decision_id();
      }
    }
  }
  return refused;
}

/// Calls one method of the stub with the metadata and deadline that every call carries.
template <class Reply, class Request, class Method>
CallOutcome<Reply> Call(credential::v1::CredentialAPI::Stub& stub,
                        Method method,
                        const Request& request,
                        std::chrono::milliseconds timeout,
                        const std::string& socket_path) {
  grpc::ClientContext context;
  context.AddMetadata("workload.spiffe.io", "true");
  context.set_deadline(SystemClock().Now() + timeout);
  auto reply = std::make_shared<Reply>();
  const grpc::Status status = (stub.*method)(&context, request, reply.get());
  CallOutcome<Reply> outcome;
  if (status.ok()) {
    outcome.reply = std::move(reply);
  } else {
    outcome.refused = Explain(status, socket_path);
  }
  return outcome;
}

}  // namespace

AgentClient::AgentClient(const std::string& socket_path, std::chrono::milliseconds timeout)
    : socket_path_(socket_path),
      timeout_(timeout),
      stub_(credential::v1::CredentialAPI::NewStub(
          grpc::CreateChannel("unix:" + socket_path, grpc::InsecureChannelCredentials()))) {}

CallOutcome<credential::v1::GetCredentialResponse> AgentClient::GetCredential(
    const credential::v1::GetCredentialRequest& request) {
  return Call<credential::v1::GetCredentialResponse>(
      *stub_, &credential::v1::CredentialAPI::Stub::GetCredential, request, timeout_, socket_path_);
}

CallOutcome<credential::v1::ListDestinationsResponse> AgentClient::ListDestinations() {
  return Call<credential::v1::ListDestinationsResponse>(
      *stub_,
      &credential::v1::CredentialAPI::Stub::ListDestinations,
      credential::v1::ListDestinationsRequest(),
      timeout_,
      socket_path_);
}

CallOutcome<credential::v1::GetStatusResponse> AgentClient::GetStatus() {
  return Call<credential::v1::GetStatusResponse>(*stub_,
                                                 &credential::v1::CredentialAPI::Stub::GetStatus,
                                                 credential::v1::GetStatusRequest(),
                                                 timeout_,
                                                 socket_path_);
}

Result<std::string> FindSocket(const std::string& flag) {
  if (!flag.empty()) {
    return flag;
  }
  if (std::string path = EnvironmentVariable("CREDENCE_SOCKET"); !path.empty()) {
    return path;
  }
  const std::string endpoint = EnvironmentVariable("SPIFFE_ENDPOINT_SOCKET");
  if (endpoint.empty()) {
    return std::string(kDefaultSocket);
  }
  std::string_view path = endpoint;
  const bool is_unix =
      path.starts_with("unix:/") && path.find_first_of("?#") == std::string_view::npos;
  if (is_unix) {
    path.remove_prefix(path.starts_with("unix:///") ? 7 : 5);
  }
  if (!is_unix || path.starts_with("//")) {
    return Error(
        Code::kInvalidArgument,
        fmt::format("SPIFFE_ENDPOINT_SOCKET is \"{}\": expected unix:///absolute/path", endpoint));
  }
  return std::string(path);
}

}  // namespace credence
