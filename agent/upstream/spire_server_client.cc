#include "agent/upstream/spire_server_client.h"

#include <chrono>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "agent/upstream/attest_agent.h"
#include "agent/upstream/entry_sync.h"
#include "agent/upstream/refusal.h"
#include "agent/upstream/translate.h"
#include "base/rpc/call.h"
#include "base/rpc/foreign_text.h"

#include "credence/authority/v1/changes.pb.h"
#include "spire/api/server/agent/v1/agent.pb.h"
#include "spire/api/server/bundle/v1/bundle.pb.h"
#include "spire/api/server/entry/v1/entry.pb.h"
#include "spire/api/server/svid/v1/svid.pb.h"

namespace credence {
namespace {

namespace agentv1 = spire::api::server::agent::v1;
namespace bundlev1 = spire::api::server::bundle::v1;
namespace entryv1 = spire::api::server::entry::v1;
namespace svidv1 = spire::api::server::svid::v1;

using SyncStream =
    BidiStream<entryv1::SyncAuthorizedEntriesRequest, entryv1::SyncAuthorizedEntriesResponse>;

constexpr RpcMethod<entryv1::SyncAuthorizedEntriesRequest, entryv1::SyncAuthorizedEntriesResponse>
    kSyncAuthorizedEntries{"/spire.api.server.entry.v1.Entry/SyncAuthorizedEntries"};
constexpr RpcMethod<bundlev1::GetFederatedBundleRequest, spire::api::types::Bundle>
    kGetFederatedBundle{"/spire.api.server.bundle.v1.Bundle/GetFederatedBundle"};
constexpr RpcMethod<svidv1::BatchNewX509SVIDRequest, svidv1::BatchNewX509SVIDResponse>
    kBatchNewX509Svid{"/spire.api.server.svid.v1.SVID/BatchNewX509SVID"};
constexpr RpcMethod<svidv1::NewJWTSVIDRequest, svidv1::NewJWTSVIDResponse> kNewJwtSvid{
    "/spire.api.server.svid.v1.SVID/NewJWTSVID"};
constexpr RpcMethod<agentv1::PostStatusRequest, agentv1::PostStatusResponse> kPostStatus{
    "/spire.api.server.agent.v1.Agent/PostStatus"};
constexpr RpcMethod<authority::v1::WatchRequest, authority::v1::WatchResponse> kWatch{
    "/credence.authority.v1.Changes/Watch"};

constexpr std::chrono::seconds kCallLimit{30};
/// A watch ends then, so that it moves to the connection of the present SVID.
constexpr std::chrono::minutes kWatchLimit{10};
/// SPIRE's own limit for PostStatus.
constexpr std::size_t kMaxVersionBytes = 255;

Deadline Limit(Deadline deadline) {
  return deadline.Earlier(Deadline::After(kCallLimit));
}

/// The answer or the error with the call's name; tells `node` when the server refuses the agent as
/// such.
template <class Response>
Result<Response> Settle(NodeIdentity& node,
                        const SharedRpcChannel& channel,
                        std::string_view call,
                        RpcOutcome<Response> outcome) {
  if (outcome.response.ok()) {
    return std::move(outcome.response);
  }
  if (outcome.response.error().code() == Code::kPermissionDenied) {
    node.ServerRefused(RefusalFromDetails(outcome.details), channel);
  }
  return std::move(outcome.response).error().Wrap(call);
}

Task<RpcOutcome<void>> EndedEarly(SyncStream& stream) {
  auto finished = co_await stream.Finish();
  if (finished.response.ok()) {
    finished.response = Error(Code::kInternal, "the server ended the sync before its last message");
  }
  co_return finished;
}

/// Runs the exchange to its end; success means that `sync` is done.
Task<RpcOutcome<void>> Exchange(SyncStream& stream, EntrySync& sync) {
  const bool started = co_await stream.Start();
  if (!started) {
    co_return co_await EndedEarly(stream);
  }
  auto request = EntrySync::FirstRequest();
  bool write = true;
  for (;;) {
    if (write) {
      const bool written = co_await stream.Write(std::exchange(request, {}));
      if (!written) {
        co_return co_await EndedEarly(stream);
      }
    }
    const auto response = co_await stream.Read();
    if (!response.has_value()) {
      co_return co_await EndedEarly(stream);
    }
    auto action = sync.Step(*response);
    RpcOutcome<void> outcome;
    if (!action.ok()) {
      outcome.response = std::move(action).error();
      co_return outcome;
    }
    if (std::holds_alternative<EntrySync::Done>(*action)) {
      outcome.response = Ok();
      co_return outcome;
    }
    auto* wanted = std::get_if<EntrySync::Request>(&*action);
    write = wanted != nullptr;
    if (write) {
      request.Clear();
      request.mutable_ids()->Add(wanted->ids.begin(), wanted->ids.end());
    }
  }
}

SignedX509 SignedItem(const svidv1::BatchNewX509SVIDResponse::Result& result) {
  const int code = result.status().code();
  if (code == 0) {
    return X509SvidFromServer(result.svid());
  }
  const bool canonical = code > 0 && code <= static_cast<int>(Code::kUnauthenticated);
  return Error(canonical ? static_cast<Code>(code) : Code::kUnknown,
               ForeignText(result.status().message()));
}

}  // namespace

Task<Result<EntrySyncResult>> SpireServerClient::SyncEntries(SharedEntries known,
                                                             Deadline deadline) {
  const auto channel = node_.channel();
  SyncStream stream(channel, kSyncAuthorizedEntries, Limit(deadline));
  EntrySync sync(std::move(known));
  auto outcome = co_await Exchange(stream, sync);
  auto settled = Settle(node_, channel, "SyncAuthorizedEntries", std::move(outcome));
  if (!settled.ok()) {
    co_return std::move(settled).error();
  }
  // Nothing is left to hear; leaving the stream ends it.
  co_await stream.WritesDone();
  co_return sync.Take();
}

Task<Result<TrustBundle>> SpireServerClient::FetchBundle(Deadline deadline) {
  auto bundle = co_await GetBundle(node_.channel(), node_.trust_domain(), Limit(deadline));
  if (!bundle.ok()) {
    co_return std::move(bundle).error().Wrap("GetBundle");
  }
  co_return bundle;
}

Task<Result<std::optional<TrustBundle>>> SpireServerClient::FetchFederatedBundle(
    TrustDomain trust_domain, Deadline deadline) {
  bundlev1::GetFederatedBundleRequest request;
  request.set_trust_domain(trust_domain.name());
  const auto channel = node_.channel();
  auto outcome =
      co_await CallUnary(channel, kGetFederatedBundle, std::move(request), Limit(deadline));
  auto answer = Settle(node_, channel, "GetFederatedBundle", std::move(outcome));
  if (!answer.ok() && answer.error().code() == Code::kNotFound) {
    co_return std::optional<TrustBundle>();
  }
  if (!answer.ok()) {
    co_return std::move(answer).error();
  }
  auto bundle = BundleFromServer(*answer, trust_domain);
  if (!bundle.ok()) {
    co_return std::move(bundle).error().Wrap("GetFederatedBundle");
  }
  co_return std::optional<TrustBundle>(*std::move(bundle));
}

Task<Result<std::vector<SignedX509>>> SpireServerClient::SignX509(std::vector<X509Request> requests,
                                                                  Deadline deadline) {
  if (requests.empty() || requests.size() > kMaxX509Requests) {
    co_return Error(Code::kInvalidArgument,
                    fmt::format("{} X509-SVIDs asked for in one call", requests.size()));
  }
  svidv1::BatchNewX509SVIDRequest request;
  for (auto& wanted : requests) {
    auto* params = request.add_params();
    params->set_entry_id(std::move(wanted.entry_id));
    params->set_csr(std::move(wanted.csr));
  }
  const auto channel = node_.channel();
  auto outcome =
      co_await CallUnary(channel, kBatchNewX509Svid, std::move(request), Limit(deadline));
  auto answer = Settle(node_, channel, "BatchNewX509SVID", std::move(outcome));
  if (!answer.ok()) {
    co_return std::move(answer).error();
  }
  if (static_cast<std::size_t>(answer->results_size()) != requests.size()) {
    co_return Error(Code::kInternal,
                    fmt::format("BatchNewX509SVID: {} answers to {} requests",
                                answer->results_size(),
                                requests.size()));
  }
  std::vector<SignedX509> items;
  items.reserve(requests.size());
  for (const auto& result : answer->results()) {
    items.push_back(SignedItem(result));
  }
  co_return items;
}

Task<Result<JwtSvid>> SpireServerClient::NewJwtSvid(std::string entry_id,
                                                    std::vector<std::string> audience,
                                                    Deadline deadline) {
  svidv1::NewJWTSVIDRequest request;
  request.set_entry_id(std::move(entry_id));
  request.mutable_audience()->Add(audience.begin(), audience.end());
  const auto channel = node_.channel();
  auto outcome = co_await CallUnary(channel, kNewJwtSvid, std::move(request), Limit(deadline));
  const Refusal refusal = RefusalFromDetails(outcome.details);
  auto answer = Settle(node_, channel, "NewJWTSVID", std::move(outcome));
  if (!answer.ok()) {
    if (refusal != Refusal::kNone && refusal != Refusal::kAgentBanned) {
      // The agent is refused, not the identity: it is attested again.
      co_return Error(Code::kUnavailable, answer.error().message());
    }
    co_return std::move(answer).error();
  }
  auto svid = JwtSvidFromServer(answer->svid());
  // The token is a secret; its other copy goes now.
  WipeString(*answer->mutable_svid()->mutable_token());
  co_return svid;
}

Task<Error> SpireServerClient::WatchChanges(std::function<void()> changed) {
  const auto channel = node_.channel();
  BidiStream stream(channel, kWatch, Deadline::After(kWatchLimit));
  const bool started = co_await stream.Start();
  while (started) {
    const auto response = co_await stream.Read();
    if (!response.has_value()) {
      break;
    }
    changed();
  }
  auto finished = co_await stream.Finish();
  auto ended = Settle(node_, channel, "Watch", std::move(finished));
  if (ended.ok()) {
    co_return Error(Code::kUnavailable, "the server stopped telling of changes");
  }
  co_return std::move(ended).error();
}

Task<Result<void>> SpireServerClient::PostStatus(std::string version, Deadline deadline) {
  agentv1::PostStatusRequest request;
  request.set_agent_version(version.substr(0, kMaxVersionBytes));
  const auto channel = node_.channel();
  auto outcome = co_await CallUnary(channel, kPostStatus, std::move(request), Limit(deadline));
  auto answer = Settle(node_, channel, "PostStatus", std::move(outcome));
  if (!answer.ok() && answer.error().code() != Code::kUnimplemented) {
    co_return std::move(answer).error();
  }
  co_return Ok();
}

}  // namespace credence
