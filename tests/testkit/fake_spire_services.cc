#include "tests/testkit/fake_spire_services.h"

#include <algorithm>
#include <chrono>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "base/core/clock.h"
#include "base/crypto/digest.h"
#include "tests/testkit/x509pop_challenge.h"

#include "google/rpc/status.pb.h"

namespace credence::testkit {

namespace agentv1 = spire::api::server::agent::v1;
namespace bundlev1 = spire::api::server::bundle::v1;
namespace entryv1 = spire::api::server::entry::v1;
namespace svidv1 = spire::api::server::svid::v1;
namespace types = spire::api::types;

namespace {

grpc::Status RefusedFor(types::PermissionDeniedDetails::Reason reason) {
  types::PermissionDeniedDetails detail;
  detail.set_reason(reason);
  google::rpc::Status status;
  status.set_code(grpc::StatusCode::PERMISSION_DENIED);
  status.set_message("agent is refused");
  status.add_details()->PackFrom(detail);
  return {grpc::StatusCode::PERMISSION_DENIED, "agent is refused", status.SerializeAsString()};
}

/// The server's own check before every call that is for agents.
grpc::Status CheckAgent(const grpc::ServerContext& context, const SpireBehaviour& behaviour) {
  if (context.auth_context()->FindPropertyValues("x509_pem_cert").empty()) {
    return {grpc::StatusCode::UNAUTHENTICATED, "no client certificate"};
  }
  return behaviour.refuse.has_value() ? RefusedFor(*behaviour.refuse) : grpc::Status::OK;
}

const types::Entry* FindEntry(const SpireBehaviour& behaviour, const std::string& id) {
  const auto entry = std::find_if(behaviour.entries.begin(),
                                  behaviour.entries.end(),
                                  [&](const auto& candidate) { return candidate.id() == id; });
  return entry == behaviour.entries.end() ? nullptr : &*entry;
}

grpc::Status ProvePossession(const std::string& payload,
                             const SpireBehaviour& behaviour,
                             FakeAgentService::AttestStream* stream) {
  if (behaviour.x509pop_certificate.empty()) {
    return {grpc::StatusCode::FAILED_PRECONDITION, "node attestor x509pop is not configured"};
  }
  const X509PopChallenge challenge(behaviour.x509pop_certificate);
  if (!challenge.PayloadFits(payload)) {
    return {grpc::StatusCode::PERMISSION_DENIED, "certificate is not known"};
  }
  agentv1::AttestAgentResponse ask;
  ask.set_challenge(challenge.Text());
  agentv1::AttestAgentRequest answer;
  if (!stream->Write(ask) || !stream->Read(&answer) ||
      !challenge.AnswerFits(answer.challenge_response())) {
    return {grpc::StatusCode::PERMISSION_DENIED, "challenge response is wrong"};
  }
  return grpc::Status::OK;
}

std::string JwtSegment(const boost::json::object& object) {
  return Base64UrlEncode(boost::json::serialize(object));
}

}  // namespace

types::Entry MakeEntry(int number) {
  types::Entry entry;
  entry.set_id(fmt::format("entry-{:05}", number));
  entry.mutable_spiffe_id()->set_trust_domain("example.org");
  entry.mutable_spiffe_id()->set_path(fmt::format("/workload/{}", number));
  auto* selector = entry.add_selectors();
  selector->set_type("unix");
  selector->set_value(fmt::format("uid:{}", number));
  entry.set_created_at(1'700'000'000 + number);
  return entry;
}

grpc::Status FakeAgentService::TakeJoinToken(const std::string& token) {
  const std::lock_guard lock(state_.mutex);
  if (token.empty() || token != state_.behaviour.join_token) {
    return {grpc::StatusCode::INVALID_ARGUMENT,
            "join token does not exist or has already been used"};
  }
  state_.behaviour.join_token.clear();
  return grpc::Status::OK;
}

grpc::Status FakeAgentService::Issue(const std::string& csr,
                                     const std::string& path,
                                     types::X509SVID* svid) {
  const auto key = PublicKeyOfCsr(csr);
  if (key.empty()) {
    return {grpc::StatusCode::INVALID_ARGUMENT, "CSR is damaged"};
  }
  LeafOptions leaf;
  leaf.uris = {fmt::format("spiffe://{}{}", state_.trust_domain, path)};
  leaf.starts = -state_.Now().agent_svid_age;
  leaf.ends = state_.Now().agent_svid_life;
  svid->add_cert_chain(state_.ca.Sign(key, leaf));
  svid->mutable_id()->set_trust_domain(state_.trust_domain);
  svid->mutable_id()->set_path(path);
  return grpc::Status::OK;
}

grpc::Status FakeAgentService::AttestAgent(grpc::ServerContext* /*context*/, AttestStream* stream) {
  agentv1::AttestAgentRequest request;
  if (!stream->Read(&request) || !request.has_params()) {
    return {grpc::StatusCode::INVALID_ARGUMENT, "malformed param"};
  }
  const auto behaviour = state_.Now();
  if (!behaviour.attest_status.ok()) {
    return behaviour.attest_status;
  }
  const auto& data = request.params().data();
  auto proved =
      grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "node attestor is not configured");
  if (data.type() == "join_token") {
    proved = TakeJoinToken(data.payload());
  } else if (data.type() == "x509pop") {
    proved = ProvePossession(data.payload(), behaviour, stream);
  }
  if (!proved.ok()) {
    return proved;
  }
  state_.Count([](auto& counts) { ++counts.attestations; });
  agentv1::AttestAgentResponse response;
  auto* result = response.mutable_result();
  result->set_reattestable(behaviour.reattestable);
  auto issued = Issue(request.params().params().csr(),
                      "/spire/agent/" + data.type() + "/1",
                      result->mutable_svid());
  if (issued.ok()) {
    stream->Write(response);
  }
  return issued;
}

grpc::Status FakeAgentService::RenewAgent(grpc::ServerContext* context,
                                          const agentv1::RenewAgentRequest* request,
                                          agentv1::RenewAgentResponse* response) {
  if (auto checked = CheckAgent(*context, state_.Now()); !checked.ok()) {
    return checked;
  }
  state_.Count([](auto& counts) { ++counts.renewals; });
  return Issue(request->params().csr(), "/spire/agent/join_token/1", response->mutable_svid());
}

grpc::Status FakeAgentService::PostStatus(grpc::ServerContext* context,
                                          const agentv1::PostStatusRequest* /*request*/,
                                          agentv1::PostStatusResponse* /*response*/) {
  state_.Count([](auto& counts) { ++counts.posts; });
  return CheckAgent(*context, state_.Now());
}

grpc::Status FakeEntryService::SyncAuthorizedEntries(grpc::ServerContext* context,
                                                     SyncStream* stream) {
  const auto behaviour = state_.Now();
  if (auto checked = CheckAgent(*context, behaviour); !checked.ok()) {
    return checked;
  }
  state_.Count([](auto& counts) { ++counts.syncs; });
  entryv1::SyncAuthorizedEntriesRequest request;
  if (!stream->Read(&request) || !request.ids().empty()) {
    return {grpc::StatusCode::INVALID_ARGUMENT, "the first request must have a mask and no ids"};
  }
  const auto& entries = behaviour.entries;
  entryv1::SyncAuthorizedEntriesResponse response;
  if (entries.size() <= behaviour.page_size) {
    response.mutable_entries()->Add(entries.begin(), entries.end());
    stream->Write(response);
    state_.Count([&](auto& counts) { counts.entries_sent += static_cast<int>(entries.size()); });
    return grpc::Status::OK;
  }
  for (std::size_t begin = 0; begin < entries.size(); begin += behaviour.page_size) {
    const auto end = std::min(begin + behaviour.page_size, entries.size());
    response.Clear();
    for (auto index = begin; index < end; ++index) {
      auto* revision = response.add_entry_revisions();
      revision->set_id(entries[index].id());
      revision->set_revision_number(entries[index].revision_number());
      revision->set_created_at(entries[index].created_at());
    }
    response.set_more(end < entries.size());
    stream->Write(response);
  }
  AnswerIds(behaviour, stream);
  return grpc::Status::OK;
}

void FakeEntryService::AnswerIds(const SpireBehaviour& behaviour, SyncStream* stream) {
  entryv1::SyncAuthorizedEntriesRequest request;
  while (stream->Read(&request)) {
    // In two messages, so that a client that stops at the first one is found out.
    entryv1::SyncAuthorizedEntriesResponse first;
    entryv1::SyncAuthorizedEntriesResponse second;
    first.set_more(true);
    int sent = 0;
    for (const auto& id : request.ids()) {
      if (const auto* entry = FindEntry(behaviour, id); entry != nullptr) {
        *(sent++ % 2 == 0 ? first : second).add_entries() = *entry;
      }
    }
    state_.Count([&](auto& counts) { counts.entries_sent += sent; });
    stream->Write(first);
    stream->Write(second);
  }
}

grpc::Status FakeSvidService::BatchNewX509SVID(grpc::ServerContext* context,
                                               const svidv1::BatchNewX509SVIDRequest* request,
                                               svidv1::BatchNewX509SVIDResponse* response) {
  const auto behaviour = state_.Now();
  if (auto checked = CheckAgent(*context, behaviour);
      !checked.ok() || !behaviour.sign_status.ok()) {
    return checked.ok() ? behaviour.sign_status : checked;
  }
  for (const auto& wanted : request->params()) {
    auto* result = response->add_results();
    const auto* entry = FindEntry(behaviour, wanted.entry_id());
    const auto key = PublicKeyOfCsr(wanted.csr());
    if (entry == nullptr || key.empty()) {
      result->mutable_status()->set_code(entry == nullptr ? grpc::NOT_FOUND
                                                          : grpc::INVALID_ARGUMENT);
      result->mutable_status()->set_message(entry == nullptr ? "entry not found or not authorized"
                                                             : "CSR is damaged");
      continue;
    }
    LeafOptions leaf;
    leaf.uris = {fmt::format("spiffe://{}{}", state_.trust_domain, entry->spiffe_id().path())};
    leaf.ends = behaviour.workload_svid_life;
    result->mutable_status()->set_code(grpc::OK);
    result->mutable_svid()->add_cert_chain(state_.ca.Sign(key, leaf));
    *result->mutable_svid()->mutable_id() = entry->spiffe_id();
    state_.Count([](auto& counts) { ++counts.signatures; });
  }
  return grpc::Status::OK;
}

grpc::Status FakeSvidService::NewJWTSVID(grpc::ServerContext* context,
                                         const svidv1::NewJWTSVIDRequest* request,
                                         svidv1::NewJWTSVIDResponse* response) {
  const auto behaviour = state_.Now();
  if (auto checked = CheckAgent(*context, behaviour);
      !checked.ok() || !behaviour.sign_status.ok()) {
    return checked.ok() ? behaviour.sign_status : checked;
  }
  const auto* entry = FindEntry(behaviour, request->entry_id());
  if (entry == nullptr) {
    return {grpc::StatusCode::NOT_FOUND, "entry not found or not authorized"};
  }
  const auto now = ToUnixSeconds(SystemClock().Now());
  boost::json::array audience(request->audience().begin(), request->audience().end());
  const auto subject = fmt::format("spiffe://{}{}", state_.trust_domain, entry->spiffe_id().path());
  const boost::json::object header{{"alg", "ES256"}, {"kid", "fake-key"}, {"typ", "JWT"}};
  const boost::json::object claims{{"sub", subject},
                                   {"aud", std::move(audience)},
                                   {"iat", now},
                                   {"exp", now + 300},
                                   {"jti", RandomUuid()}};
  // An agent does not check the signature of its own server's tokens.
  auto* svid = response->mutable_svid();
  svid->set_token(JwtSegment(header) + "." + JwtSegment(claims) + "." +
                  Base64UrlEncode(RandomBytes(64)));
  *svid->mutable_id() = entry->spiffe_id();
  svid->set_issued_at(now);
  svid->set_expires_at(now + 300);
  state_.Count([](auto& counts) { ++counts.tokens; });
  return grpc::Status::OK;
}

grpc::Status FakeBundleService::GetBundle(grpc::ServerContext* /*context*/,
                                          const bundlev1::GetBundleRequest* /*request*/,
                                          types::Bundle* response) {
  const auto behaviour = state_.Now();
  response->set_trust_domain(state_.trust_domain);
  response->set_sequence_number(behaviour.bundle_sequence);
  response->add_x509_authorities()->set_asn1(state_.ca.certificate());
  for (const auto& certificate : behaviour.more_authorities) {
    response->add_x509_authorities()->set_asn1(certificate);
  }
  return behaviour.bundle_status;
}

grpc::Status FakeBundleService::GetFederatedBundle(
    grpc::ServerContext* context,
    const bundlev1::GetFederatedBundleRequest* request,
    types::Bundle* response) {
  const auto behaviour = state_.Now();
  if (auto checked = CheckAgent(*context, behaviour); !checked.ok()) {
    return checked;
  }
  for (const auto& bundle : behaviour.federated) {
    if (bundle.trust_domain() == request->trust_domain()) {
      *response = bundle;
      return grpc::Status::OK;
    }
  }
  return {grpc::StatusCode::NOT_FOUND, "bundle not found"};
}

}  // namespace credence::testkit
