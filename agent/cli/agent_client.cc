#include "agent/cli/agent_client.h"

#include <poll.h>

#include <utility>

#include <fmt/format.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/generic/generic_stub.h>

#include "agent/cli/agent_connection.h"
#include "base/core/clock.h"
#include "base/core/secret_bytes.h"
#include "base/rpc/foreign_text.h"

#include "google/rpc/status.pb.h"
#include "spiffe/workload/workload.pb.h"

namespace credence {
namespace {

constexpr const char* kService = "/credence.credential.v1.CredentialAPI/";

/// How often a waiting call looks whether it was interrupted.
constexpr std::chrono::milliseconds kLookAround{50};

RefusedCall NotConnected(Error error) {
  std::string fix;
  if (error.code() == Code::kUnavailable) {
    fix = "start it with `credence run`, or name its socket with --socket or CREDENCE_SOCKET";
  } else if (error.code() == Code::kPermissionDenied) {
    fix =
        "name the socket of an agent that root or you run with --socket or CREDENCE_SOCKET, in a "
        "folder that nobody else can change";
  }
  return RefusedCall{std::move(error), "", std::move(fix)};
}

RefusedCall Explain(const grpc::Status& status, std::chrono::milliseconds timeout) {
  // What the library says when our own patience ends.
  if (status.error_message() == "Deadline Exceeded") {
    return RefusedCall{
        Error(Code::kDeadlineExceeded,
              fmt::format("the agent did not answer within {}", FormatDuration(timeout))),
        "",
        "wait longer with --timeout, or see `credence status`"};
  }
  RefusedCall refused{
      Error(static_cast<Code>(status.error_code()), ForeignText(status.error_message()))};
  google::rpc::Status details;
  if (details.ParseFromString(status.error_details())) {
    for (const auto& detail : details.details()) {
      credential::v1::Refusal refusal;
      if (detail.UnpackTo(&refusal)) {
        refused.fact = ForeignText(refusal.fact());
        refused.fix = ForeignText(refusal.fix());
        refused.decision_id = ForeignText(refusal.decision_id());
      }
    }
  }
  return refused;
}

bool AnyReadable(const std::vector<int>& descriptors) {
  std::vector<pollfd> watched;
  for (const int fd : descriptors) {
    watched.push_back({fd, POLLIN, 0});
  }
  return poll(watched.data(), watched.size(), 0) > 0;
}

/// Waits for the one event of `queue`.
void AwaitEnd(grpc::CompletionQueue& queue,
              grpc::ClientContext& context,
              const std::vector<int>& interrupts) {
  void* tag = nullptr;
  bool ok = false;
  const SystemClock clock;
  while (queue.AsyncNext(&tag, &ok, clock.Now() + kLookAround) == grpc::CompletionQueue::TIMEOUT) {
    if (AnyReadable(interrupts)) {
      context.TryCancel();
    }
  }
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
}

void Wipe(credential::v1::GetCredentialResponse& reply) {
  WipeSecrets(reply);
}

void Wipe(spiffe::workload::JWTSVIDResponse& reply) {
  for (auto& svid : *reply.mutable_svids()) {
    WipeString(*svid.mutable_svid());
  }
}

/// Of what holds no secret.
void Wipe(google::protobuf::Message& /*reply*/) {}

/// A unary call with the metadata and deadline that every call carries. `method` is its path.
template <class Reply, class Request>
CallOutcome<Reply> Call(const std::string& method,
                        const Request& request,
                        const std::string& socket_path,
                        std::chrono::milliseconds timeout,
                        const std::vector<int>& interrupts = {}) {
  CallOutcome<Reply> outcome;
  auto connection = ConnectToAgent(socket_path, timeout);
  if (!connection.ok()) {
    outcome.refused = NotConnected(std::move(connection).error());
    return outcome;
  }
  grpc::TemplatedGenericStub<Request, Reply> stub(
      grpc::CreateInsecureChannelFromFd("agent", connection->release()));
  grpc::ClientContext context;
  context.AddMetadata("workload.spiffe.io", "true");
  context.set_deadline(SystemClock().Now() + timeout);
  const std::shared_ptr<Reply> reply(std::make_unique<Reply>().release(), [](Reply* gone) {
    Wipe(*gone);
    const std::unique_ptr<Reply> owned(gone);
  });
  grpc::Status status;
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
  call->StartCall();
  call->Finish(reply.get(), &status, nullptr);
  AwaitEnd(queue, context, interrupts);
  if (status.ok()) {
    outcome.reply = reply;
  } else {
    outcome.refused = Explain(status, timeout);
  }
  return outcome;
}

}  // namespace

void WipeSecrets(credential::v1::GetCredentialResponse& reply) {
  for (auto& field : *reply.mutable_fields()) {
    WipeString(field.second);
  }
  for (auto& variable : *reply.mutable_delivery()->mutable_env()) {
    WipeString(variable.second);
  }
  for (auto& file : *reply.mutable_delivery()->mutable_files()) {
    WipeString(*file.mutable_content());
  }
}

CallOutcome<credential::v1::GetCredentialResponse> AgentClient::GetCredential(
    const credential::v1::GetCredentialRequest& request, const std::vector<int>& interrupts) const {
  return Call<credential::v1::GetCredentialResponse>(
      std::string(kService) + "GetCredential", request, socket_path_, timeout_, interrupts);
}

CallOutcome<credential::v1::ListDestinationsResponse> AgentClient::ListDestinations() const {
  return Call<credential::v1::ListDestinationsResponse>(std::string(kService) + "ListDestinations",
                                                        credential::v1::ListDestinationsRequest(),
                                                        socket_path_,
                                                        timeout_);
}

CallOutcome<credential::v1::CheckDestinationResponse> AgentClient::CheckDestination(
    const credential::v1::CheckDestinationRequest& request) const {
  return Call<credential::v1::CheckDestinationResponse>(
      std::string(kService) + "CheckDestination", request, socket_path_, timeout_);
}

CallOutcome<credential::v1::GetStatusResponse> AgentClient::GetStatus() const {
  return Call<credential::v1::GetStatusResponse>(std::string(kService) + "GetStatus",
                                                 credential::v1::GetStatusRequest(),
                                                 socket_path_,
                                                 timeout_);
}

CallOutcome<JwtSvid> AgentClient::FetchJwtSvid(const std::string& spiffe_id,
                                               const std::vector<std::string>& audience) const {
  spiffe::workload::JWTSVIDRequest request;
  request.set_spiffe_id(spiffe_id);
  request.mutable_audience()->Add(audience.begin(), audience.end());
  auto answer = Call<spiffe::workload::JWTSVIDResponse>(
      "/SpiffeWorkloadAPI/FetchJWTSVID", request, socket_path_, timeout_);
  CallOutcome<JwtSvid> outcome;
  if (!answer.reply) {
    outcome.refused = std::move(answer.refused);
    return outcome;
  }
  if (answer.reply->svids().empty()) {
    outcome.refused = RefusedCall{Error(Code::kDataLoss, "the agent gave no JWT-SVID")};
    return outcome;
  }
  auto svid = ParseTrustedJwtSvid(answer.reply->svids(0).svid());
  if (svid.ok()) {
    outcome.reply = std::make_shared<const JwtSvid>(*std::move(svid));
  } else {
    outcome.refused = RefusedCall{svid.error()};
  }
  return outcome;
}

}  // namespace credence
