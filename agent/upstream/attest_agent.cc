#include "agent/upstream/attest_agent.h"

#include <memory>
#include <utility>

#include "agent/upstream/translate.h"
#include "base/rpc/call.h"

#include "spire/api/server/agent/v1/agent.pb.h"
#include "spire/api/server/bundle/v1/bundle.pb.h"

namespace credence {
namespace {

namespace agentv1 = spire::api::server::agent::v1;
namespace bundlev1 = spire::api::server::bundle::v1;

using AttestStream = BidiStream<agentv1::AttestAgentRequest, agentv1::AttestAgentResponse>;

constexpr RpcMethod<agentv1::AttestAgentRequest, agentv1::AttestAgentResponse> kAttestAgent{
    "/spire.api.server.agent.v1.Agent/AttestAgent"};
constexpr RpcMethod<agentv1::RenewAgentRequest, agentv1::RenewAgentResponse> kRenewAgent{
    "/spire.api.server.agent.v1.Agent/RenewAgent"};
constexpr RpcMethod<bundlev1::GetBundleRequest, spire::api::types::Bundle> kGetBundle{
    "/spire.api.server.bundle.v1.Bundle/GetBundle"};

constexpr int kMaxChallenges = 16;

AttestOutcome Failed(Error error) {
  AttestOutcome outcome;
  outcome.issued = std::move(error);
  return outcome;
}

/// The stream has ended without a result: why?
Task<AttestOutcome> Verdict(AttestStream& stream) {
  auto finished = co_await stream.Finish();
  AttestOutcome outcome;
  if (finished.response.ok()) {
    outcome.issued = Error(Code::kInternal, "the server ended the attestation without a result");
    co_return outcome;
  }
  const Code code = finished.response.error().code();
  outcome.rejected = code == Code::kPermissionDenied || code == Code::kInvalidArgument;
  outcome.issued = std::move(finished.response).error();
  co_return outcome;
}

AttestOutcome FromResult(const agentv1::AttestAgentResponse::Result& result) {
  auto chain = X509SvidFromServer(result.svid());
  if (!chain.ok()) {
    return Failed(std::move(chain).error());
  }
  AttestOutcome outcome;
  outcome.issued = IssuedAgentSvid{*std::move(chain), result.reattestable()};
  return outcome;
}

/// Answers challenges until the server decides.
Task<AttestOutcome> Converse(AttestStream& stream,
                             NodeAttestation& attestation,
                             agentv1::AttestAgentRequest first,
                             Deadline deadline) {
  auto request = std::move(first);
  for (int challenges = 0; challenges <= kMaxChallenges; ++challenges) {
    const bool written = co_await stream.Write(std::move(request));
    if (!written) {
      co_return co_await Verdict(stream);
    }
    auto response = co_await stream.Read();
    if (!response.has_value()) {
      co_return co_await Verdict(stream);
    }
    if (response->has_result()) {
      co_return FromResult(response->result());
    }
    auto answer = co_await attestation.Answer(response->challenge(), deadline);
    if (!answer.ok()) {
      co_return Failed(std::move(answer).error());
    }
    request.Clear();
    request.set_challenge_response(*std::move(answer));
  }
  co_return Failed(
      Error(Code::kInternal, "the server asks for more challenges than any attestor has"));
}

}  // namespace

Task<AttestOutcome> AttestAgent(SharedRpcChannel channel,
                                NodeAttestor& attestor,
                                std::string csr,
                                Deadline deadline) {
  const auto attestation = attestor.Start();
  auto payload = co_await attestation->Payload(deadline);
  if (!payload.ok()) {
    co_return Failed(std::move(payload).error());
  }
  agentv1::AttestAgentRequest first;
  auto* data = first.mutable_params()->mutable_data();
  data->set_type(std::string(attestor.name()));
  data->set_payload(*std::move(payload));
  first.mutable_params()->mutable_params()->set_csr(std::move(csr));

  AttestStream stream(std::move(channel), kAttestAgent, deadline);
  const bool started = co_await stream.Start();
  if (!started) {
    co_return co_await Verdict(stream);
  }
  auto outcome = co_await Converse(stream, *attestation, std::move(first), deadline);
  if (outcome.issued.ok()) {
    // The server waits for this before it ends the call on its side; how it ends no longer matters.
    co_await stream.WritesDone();
  }
  co_return outcome;
}

Task<RenewOutcome> RenewAgent(SharedRpcChannel channel, std::string csr, Deadline deadline) {
  agentv1::RenewAgentRequest request;
  request.mutable_params()->set_csr(std::move(csr));
  auto answered = co_await CallUnary(std::move(channel), kRenewAgent, std::move(request), deadline);
  RenewOutcome outcome;
  if (answered.response.ok()) {
    outcome.chain = X509SvidFromServer(answered.response->svid());
    co_return outcome;
  }
  if (answered.response.error().code() == Code::kPermissionDenied) {
    outcome.refusal = RefusalFromDetails(answered.details);
  }
  outcome.chain = std::move(answered.response).error();
  co_return outcome;
}

Task<Result<TrustBundle>> GetBundle(SharedRpcChannel channel,
                                    TrustDomain trust_domain,
                                    Deadline deadline) {
  auto answered =
      co_await CallUnary(std::move(channel), kGetBundle, bundlev1::GetBundleRequest(), deadline);
  if (!answered.response.ok()) {
    co_return std::move(answered.response).error();
  }
  auto bundle = BundleFromServer(*answered.response, trust_domain);
  if (bundle.ok() && bundle->x509_authorities.empty()) {
    co_return Error(Code::kInternal, "the server sent a bundle without X.509 authorities");
  }
  co_return bundle;
}

}  // namespace credence
