#include "agent/endpoints/workload_api.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "agent/endpoints/call_support.h"
#include "agent/endpoints/claims.h"
#include "agent/endpoints/requests.h"
#include "base/core/log.h"

#include "spiffe/workload/workload.pb.h"

namespace credence {
namespace {

constexpr std::chrono::seconds kAttestTimeout{10};
constexpr std::chrono::seconds kJwtTimeout{30};
constexpr std::string_view kNoIdentity = "no identity issued";

/// Reads the one request message of a server-streaming call and checks what every call must carry.
Task<Result<void>> ReadEmptyRequest(std::shared_ptr<h2::ServerCall> call) {
  auto header = CheckSecurityHeader(*call);
  if (!header.ok()) {
    co_return header;
  }
  auto request = co_await call->Read();
  if (!request.ok()) {
    co_return std::move(request).error();
  }
  // The requests of the streaming methods have no fields; unknown ones are ignored as protobuf
  // does.
  if (!request->has_value()) {
    co_return Error(Code::kInvalidArgument, "the call has no request message");
  }
  co_return Ok();
}

/// Wipes the tokens that protobuf holds, on leaving the scope.
class WipedTokens {
 public:
  explicit WipedTokens(spiffe::workload::JWTSVIDResponse& response) : response_(response) {}
  ~WipedTokens() {
    for (auto& svid : *response_.mutable_svids()) {
      WipeString(*svid.mutable_svid());
    }
  }
  WipedTokens(const WipedTokens&) = delete;
  WipedTokens& operator=(const WipedTokens&) = delete;

 private:
  spiffe::workload::JWTSVIDResponse& response_;
};

/// Waits until `store` has changed since `seen`, or for the deadline.
Task<void> AwaitChange(IdentityStore& store, std::uint64_t seen, Deadline deadline) {
  using boost::asio::experimental::awaitable_operators::operator||;
  auto changed = store.changes().Changed(seen);
  auto timeout = SleepUntil(deadline);
  co_await (std::move(changed) || std::move(timeout));
}

/// Those whose X509-SVID is held.
std::vector<SharedEntry> WithSvid(const IdentityStore& store,
                                  const std::vector<SharedEntry>& entries) {
  std::vector<SharedEntry> found;
  std::ranges::copy_if(entries, std::back_inserter(found), [&store](const SharedEntry& entry) {
    return store.FindX509(entry->id) != nullptr;
  });
  return found;
}

/// An identity among `before` is not among `now`.
bool HasLost(const std::vector<SharedEntry>& before, const std::vector<SharedEntry>& now) {
  return std::ranges::any_of(before, [&now](const SharedEntry& old) {
    return std::ranges::none_of(now, [&old](const SharedEntry& entry) {
      return entry->id == old->id && entry->spiffe_id == old->spiffe_id;
    });
  });
}

bool SameBytes(const SharedSecret& a, const SharedSecret& b) {
  return a == b || (a && b && a->Reveal() == b->Reveal());
}

}  // namespace

WorkloadApi::WorkloadApi(WorkloadAttestation& attestation,
                         IdentityService& identities,
                         const Clock& clock,
                         Options options,
                         std::function<std::string()> not_ready)
    : attestation_(attestation),
      identities_(identities),
      clock_(clock),
      options_(std::move(options)),
      not_ready_(std::move(not_ready)),
      x509_responses_(identities.store(), clock),
      x509_bundles_(identities.store(), BuildX509Bundles),
      jwt_bundles_(identities.store(), BuildJwtBundles) {}

void WorkloadApi::Register(h2::Server& server) {
  const auto stream =
      [&](std::string method,
          Task<h2::Status> (WorkloadApi::*handler)(std::shared_ptr<h2::ServerCall>)) {
        server.Handle("/SpiffeWorkloadAPI/" + method,
                      [this, handler](std::shared_ptr<h2::ServerCall> call) {
                        return (this->*handler)(std::move(call));
                      });
      };
  stream("FetchX509SVID", &WorkloadApi::FetchX509Svid);
  stream("FetchX509Bundles", &WorkloadApi::FetchX509Bundles);
  stream("FetchJWTBundles", &WorkloadApi::FetchJwtBundles);
  server.HandleUnary("/SpiffeWorkloadAPI/FetchJWTSVID", [this](auto call, std::string request) {
    return FetchJwtSvid(std::move(call), std::move(request));
  });
  server.HandleUnary("/SpiffeWorkloadAPI/ValidateJWTSVID", [this](auto call, std::string request) {
    return ValidateJwt(std::move(call), std::move(request));
  });
}

Task<Result<WorkloadApi::Identified>> WorkloadApi::Identify(std::shared_ptr<h2::ServerCall> call,
                                                            Deadline deadline) {
  auto attested = co_await attestation_.Attest(call->caller(),
                                               deadline.Earlier(Deadline::After(kAttestTimeout)));
  if (!attested.ok()) {
    co_return AttestationError(*call, attested.error());
  }
  if (!identities_.store().synced()) {
    co_return Error(Code::kUnavailable, "this agent has no identities yet: " + not_ready_());
  }
  Identified identified;
  identified.entries = identities_.store().Match(attested->selectors);
  identified.selectors = std::move(attested->selectors);
  if (identified.entries.empty() && LogEnabled(LogLevel::kDebug)) {
    LogDebug("No identity issued", {{"pid", call->caller()->pid}, {"uid", call->caller()->uid}});
  }
  co_return identified;
}

Task<h2::Status> WorkloadApi::FollowChanges(std::shared_ptr<h2::ServerCall> call,
                                            Snapshot snapshot,
                                            WithoutIdentity mode) {
  const auto request = co_await ReadEmptyRequest(call);
  if (!request.ok()) {
    co_return h2::Status::From(request.error());
  }
  auto identified = co_await Identify(call, call->deadline());
  if (!identified.ok()) {
    co_return h2::Status::From(identified.error());
  }
  IdentityStore& store = identities_.store();
  X509Signer::Hold hold;
  const Deadline patience = Deadline::After(options_.patience);
  SharedSecret sent;
  std::vector<SharedEntry> sent_for;
  while (true) {
    const std::uint64_t seen = store.changes().version();
    identified->entries = store.Match(identified->selectors);
    if (identified->entries.empty() && mode == WithoutIdentity::kRefused) {
      co_return h2::Status{Code::kPermissionDenied, std::string(kNoIdentity), ""};
    }
    // A descendant may hold the socket of a process that is gone; it is not who was attested.
    if (!IsAlive(call->caller()->pidfd.get())) {
      co_return h2::Status{
          Code::kUnavailable, "the process that opened the connection has ended", ""};
    }
    hold = identities_.Want(identified->entries);
    using Missing = X509Responses::Missing;
    const bool waits = !sent && !patience.Passed() && identities_.sync_status().error.empty();
    auto message = snapshot(identified->entries, waits ? Missing::kAwaited : Missing::kLeftOut);
    if (!message.ok()) {
      co_return h2::Status{Code::kUnavailable, message.error().message(), ""};
    }
    if (!*message && waits) {
      co_await AwaitChange(store, seen, patience);
      continue;
    }
    if (*message) {
      sent_for = WithSvid(store, identified->entries);
    } else if (auto end = EndWithoutMessage(sent != nullptr, sent_for, identified->entries)) {
      co_return *std::move(end);
    }
    if (*message && !SameBytes(*message, sent)) {
      sent = *message;
      const auto written = co_await call->Write(sent);
      if (!written.ok()) {
        co_return h2::Status::From(written.error());
      }
    }
    const bool changed = co_await store.changes().ChangedUnlessCancelled(seen);
    if (!changed) {
      co_return h2::Status{Code::kCancelled, "the call was cancelled", ""};
    }
  }
}

std::optional<h2::Status> WorkloadApi::EndWithoutMessage(
    bool began,
    const std::vector<SharedEntry>& sent_for,
    const std::vector<SharedEntry>& now) const {
  if (began && !HasLost(sent_for, now)) {
    return std::nullopt;
  }
  if (began) {
    // What the client has is of an identity that it has no more, and nothing takes its place.
    return h2::Status{Code::kPermissionDenied, std::string(kNoIdentity), ""};
  }
  const std::string& error = identities_.sync_status().error;
  return h2::Status{Code::kUnavailable,
                    error.empty()
                        ? "the server has signed no SVID of this workload yet"
                        : "there is no valid SVID and the server cannot be asked: " + error,
                    ""};
}

Task<h2::Status> WorkloadApi::FetchX509Svid(std::shared_ptr<h2::ServerCall> call) {
  Snapshot snapshot = [this](const auto& entries, X509Responses::Missing missing) {
    return x509_responses_.For(entries, missing);
  };
  co_return co_await FollowChanges(std::move(call), std::move(snapshot), WithoutIdentity::kRefused);
}

Task<h2::Status> WorkloadApi::FetchX509Bundles(std::shared_ptr<h2::ServerCall> call) {
  const WithoutIdentity mode = options_.allow_unauthenticated_verifiers ? WithoutIdentity::kServed
                                                                        : WithoutIdentity::kRefused;
  Snapshot snapshot = [this](const auto& entries, X509Responses::Missing /*missing*/) {
    return x509_bundles_.For(VisibleBundles(entries));
  };
  co_return co_await FollowChanges(std::move(call), std::move(snapshot), mode);
}

Task<h2::Status> WorkloadApi::FetchJwtBundles(std::shared_ptr<h2::ServerCall> call) {
  const WithoutIdentity mode = options_.allow_unauthenticated_verifiers ? WithoutIdentity::kServed
                                                                        : WithoutIdentity::kRefused;
  Snapshot snapshot = [this](const auto& entries, X509Responses::Missing /*missing*/) {
    return jwt_bundles_.For(VisibleBundles(entries));
  };
  co_return co_await FollowChanges(std::move(call), std::move(snapshot), mode);
}

BundleSet WorkloadApi::VisibleBundles(const std::vector<SharedEntry>& entries) const {
  const IdentityStore& store = identities_.store();
  BundleSet visible;
  if (store.own_bundle()) {
    visible.emplace(options_.trust_domain.name(), store.own_bundle());
  }
  for (const SharedEntry& entry : entries) {
    for (const TrustDomain& domain : entry->federates_with) {
      if (const auto bundle = store.federated_bundles().find(domain.name());
          bundle != store.federated_bundles().end()) {
        visible.insert(*bundle);
      }
    }
  }
  return visible;
}

Task<h2::UnaryReply> WorkloadApi::FetchJwtSvid(std::shared_ptr<h2::ServerCall> call,
                                               std::string bytes) {
  if (auto header = CheckSecurityHeader(*call); !header.ok()) {
    co_return header.error();
  }
  spiffe::workload::JWTSVIDRequest request;
  if (auto parsed = ParseRequest(bytes, request); !parsed.ok()) {
    co_return parsed.error();
  }
  if (auto audience = CheckAudience(request); !audience.ok()) {
    co_return audience.error();
  }
  std::optional<SpiffeId> wanted;
  if (!request.spiffe_id().empty()) {
    auto id = SpiffeId::Parse(request.spiffe_id());
    if (!id.ok()) {
      co_return std::move(id).error().Wrap("requested SPIFFE ID");
    }
    wanted = *std::move(id);
  }
  const Deadline deadline = call->deadline().Earlier(Deadline::After(kJwtTimeout));
  auto identified = co_await Identify(call, deadline);
  if (!identified.ok()) {
    co_return identified.error();
  }
  std::vector<SharedEntry> listed;
  for (const SharedEntry& entry : identified->entries) {
    if ((!wanted || entry->spiffe_id == *wanted) && !HasOlderTwin(entry, identified->entries)) {
      listed.push_back(entry);
    }
  }
  if (listed.empty()) {
    co_return Error(Code::kPermissionDenied, std::string(kNoIdentity));
  }
  const std::vector<std::string> audience(request.audience().begin(), request.audience().end());
  spiffe::workload::JWTSVIDResponse response;
  const WipedTokens wiped(response);
  for (const SharedEntry& entry : listed) {
    auto svid = co_await identities_.GetJwtSvid(entry, audience, deadline);
    if (!svid.ok()) {
      co_return Error(Code::kUnavailable, "could not get a JWT-SVID: " + svid.error().message());
    }
    auto& answer = *response.add_svids();
    answer.set_spiffe_id((*svid)->id.text());
    answer.mutable_svid()->assign((*svid)->token->Reveal());
    answer.set_hint(entry->hint);
  }
  co_return Serialize(response);
}

Task<h2::UnaryReply> WorkloadApi::ValidateJwt(std::shared_ptr<h2::ServerCall> call,
                                              std::string bytes) {
  if (auto header = CheckSecurityHeader(*call); !header.ok()) {
    co_return header.error();
  }
  const WipeOnExit wiped_bytes(bytes);
  spiffe::workload::ValidateJWTSVIDRequest request;
  if (auto parsed = ParseRequest(bytes, request); !parsed.ok()) {
    co_return parsed.error();
  }
  const WipeOnExit wiped_token(*request.mutable_svid());
  if (request.audience().empty() || request.svid().empty()) {
    co_return Error(Code::kInvalidArgument, "audience and svid must be specified");
  }
  const auto identified = co_await Identify(call, call->deadline());
  if (!identified.ok()) {
    co_return identified.error();
  }
  auto valid = ValidateJwtSvid(
      request.svid(), request.audience(), VisibleBundles(identified->entries), clock_.Now());
  if (!valid.ok()) {
    co_return std::move(valid).error();
  }
  if (!valid->id.MemberOf(options_.trust_domain)) {
    KeepClaims(valid->claims, options_.allowed_foreign_jwt_claims);
  }
  spiffe::workload::ValidateJWTSVIDResponse response;
  response.set_spiffe_id(valid->id.text());
  *response.mutable_claims() = ToStruct(valid->claims);
  co_return Serialize(response);
}

}  // namespace credence
