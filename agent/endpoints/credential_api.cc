#include "agent/endpoints/credential_api.h"

#include <optional>
#include <utility>

#include <fmt/format.h>

#include "agent/endpoints/call_support.h"
#include "agent/endpoints/requests.h"
#include "base/core/log.h"

#include "credence/credential/v1/credential.pb.h"
#include "google/rpc/status.pb.h"

namespace credence {
namespace {

constexpr std::chrono::seconds kAttestTimeout{10};
constexpr int kMaxIdentitiesShown = 20;
constexpr std::string_view kService = "/credence.credential.v1.CredentialAPI/";

std::int64_t SecondsOrZero(WallTime time) {
  return time == WallTime() ? 0 : ToUnixSeconds(time);
}

/// The refusal as a gRPC status: a sentence for people, a Refusal for programs.
h2::Status ToStatus(const BrokerAnswer& answer) {
  const BrokerRefusal& refusal = answer.refusal;
  credential::v1::Refusal detail;
  detail.set_decision_id(answer.decision_id);
  detail.set_fact(refusal.fact);
  detail.set_fix(refusal.fix);
  google::rpc::Status status;
  status.set_code(static_cast<int>(refusal.code));
  status.set_message(refusal.fact);
  status.add_details()->PackFrom(detail);
  return h2::Status{refusal.code, refusal.fact, status.SerializeAsString()};
}

void FillDelivery(const Delivery& delivery, credential::v1::Delivery& out) {
  for (const auto& [name, value] : delivery.env) {
    (*out.mutable_env())[name].assign(value->Reveal());
  }
  for (const std::string& name : delivery.unset) {
    out.add_unset(name);
  }
  for (const DeliveredFile& file : delivery.files) {
    auto& added = *out.add_files();
    added.set_path(file.path);
    added.set_mode(file.mode);
    added.set_content(file.content->data(), file.content->size());
  }
}

/// The copies that protobuf holds.
void Wipe(credential::v1::GetCredentialResponse& response) {
  for (auto& field : *response.mutable_fields()) {
    WipeString(field.second);
  }
  for (auto& variable : *response.mutable_delivery()->mutable_env()) {
    WipeString(variable.second);
  }
  for (auto& file : *response.mutable_delivery()->mutable_files()) {
    WipeString(*file.mutable_content());
  }
}

Result<SharedSecret> ToMessage(const BrokerAnswer& answer, const std::string& destination) {
  const IssuedCredential& issued = *answer.issued;
  credential::v1::GetCredentialResponse response;
  for (const auto& [name, value] : issued.credential->fields) {
    (*response.mutable_fields())[name].assign(value->Reveal());
  }
  response.set_primary_field(issued.credential->primary_field);
  response.set_expires_at(ToUnixSeconds(issued.expires_at));
  response.set_refresh_at(ToUnixSeconds(issued.refresh_at));
  response.set_issued_at(ToUnixSeconds(issued.credential->issued_at));
  response.set_decision_id(answer.decision_id);
  response.set_request_id(issued.credential->request_id);
  response.set_destination(destination);
  response.set_spiffe_id(issued.spiffe_id);
  FillDelivery(issued.delivery, *response.mutable_delivery());
  auto message = Serialize(response);
  Wipe(response);
  return message;
}

/// What a caller who may use the destination is told of it.
void FillAllowance(const Allowance& allowance, credential::v1::CheckDestinationResponse& out) {
  const DestinationResource& destination = *allowance.destination;
  out.set_adapter(destination.adapter);
  out.set_origin(fmt::format("{}:{}", destination.origin.file, destination.origin.line));
  out.set_grant(allowance.grant->name);
  out.set_spiffe_id(allowance.identity.id.text());
  out.set_grant_expires_at(allowance.grant->expires ? ToUnixSeconds(*allowance.grant->expires) : 0);
  const SvidNeeds& needs = destination.target->svid_needs();
  out.mutable_audience()->Add(needs.audience.begin(), needs.audience.end());
  out.set_max_svid_bytes(needs.max_bytes);
  out.set_max_svid_lifetime_seconds(needs.max_lifetime.count());
  out.mutable_svid_algorithms()->Add(needs.algorithms.begin(), needs.algorithms.end());
  out.set_issuer_required(needs.issuer_required);
  const DestinationAddress address = destination.target->address();
  out.set_url(address.origin);
  out.set_ca_file(address.ca_file);
}

}  // namespace

CredentialApi::CredentialApi(WorkloadAttestation& attestation,
                             IdentityService& identities,
                             Broker& broker,
                             std::function<AgentStatus()> status)
    : attestation_(attestation),
      identities_(identities),
      broker_(broker),
      status_(std::move(status)) {}

void CredentialApi::Register(h2::Server& server) {
  const auto unary = [&](std::string_view method,
                         Task<h2::UnaryReply> (CredentialApi::*handler)(
                             std::shared_ptr<h2::ServerCall>, std::string)) {
    server.HandleUnary(std::string(kService) + std::string(method),
                       [this, handler](std::shared_ptr<h2::ServerCall> call, std::string request) {
                         return (this->*handler)(std::move(call), std::move(request));
                       });
  };
  unary("GetCredential", &CredentialApi::GetCredential);
  unary("ListDestinations", &CredentialApi::ListDestinations);
  unary("CheckDestination", &CredentialApi::CheckDestination);
  unary("GetStatus", &CredentialApi::GetStatus);
}

Result<void> CredentialApi::CheckSynced() const {
  if (identities_.store().synced()) {
    return Ok();
  }
  return Error(Code::kUnavailable, "this agent has no identities yet: " + status_().sync_error);
}

std::vector<HeldIdentity> CredentialApi::IdentitiesOf(const SelectorSet& selectors) const {
  const std::vector<SharedEntry> entries = identities_.store().Match(selectors);
  std::vector<HeldIdentity> held;
  for (const SharedEntry& entry : entries) {
    if (!HasOlderTwin(entry, entries)) {
      held.push_back(HeldIdentity{entry->spiffe_id, entry->id});
    }
  }
  return held;
}

Task<h2::UnaryReply> CredentialApi::GetCredential(std::shared_ptr<h2::ServerCall> call,
                                                  std::string bytes) {
  if (auto header = CheckSecurityHeader(*call); !header.ok()) {
    co_return header.error();
  }
  credential::v1::GetCredentialRequest request;
  if (auto parsed = ParseRequest(bytes, request); !parsed.ok()) {
    co_return parsed.error();
  }
  auto query = ToQuery(request, call->deadline());
  if (!query.ok()) {
    co_return std::move(query).error();
  }
  auto attested =
      co_await attestation_.Attest(call->caller(),
                                   call->deadline().Earlier(Deadline::After(kAttestTimeout)),
                                   AttestDetail::kProcess);
  if (!attested.ok()) {
    co_return AttestationError(*call, attested.error());
  }
  if (auto synced = CheckSynced(); !synced.ok()) {
    co_return synced.error();
  }
  query->identities = IdentitiesOf(attested->selectors);
  query->subject.selectors = std::move(attested->selectors);
  query->subject.pid = attested->process.pid;
  query->subject.uid = attested->process.uid;
  query->subject.start_time = attested->process.start_time;
  query->subject.executable = attested->process.executable;
  query->subject.assurance = attested->process.assurance;
  const BrokerAnswer answer = co_await broker_.Get(*std::move(query));
  if (!answer.issued) {
    co_return ToStatus(answer);
  }
  co_return ToMessage(answer, request.destination());
}

Task<h2::UnaryReply> CredentialApi::ListDestinations(std::shared_ptr<h2::ServerCall> call,
                                                     std::string bytes) {
  if (auto header = CheckSecurityHeader(*call); !header.ok()) {
    co_return header.error();
  }
  credential::v1::ListDestinationsRequest request;
  if (auto parsed = ParseRequest(bytes, request); !parsed.ok()) {
    co_return parsed.error();
  }
  auto attested = co_await attestation_.Attest(
      call->caller(), call->deadline().Earlier(Deadline::After(kAttestTimeout)));
  if (!attested.ok()) {
    co_return AttestationError(*call, attested.error());
  }
  if (auto synced = CheckSynced(); !synced.ok()) {
    co_return synced.error();
  }
  PolicyQuery query;
  query.identities = IdentitiesOf(attested->selectors);
  query.selectors = std::move(attested->selectors);
  query.assurance = attested->process.assurance;
  query.uid = attested->process.uid;
  credential::v1::ListDestinationsResponse response;
  for (const Allowance& allowance : broker_.List(query)) {
    auto& summary = *response.add_destinations();
    summary.set_name(allowance.destination->name);
    summary.set_adapter(allowance.destination->adapter);
    summary.set_grant(allowance.grant->name);
    summary.set_spiffe_id(allowance.identity.id.text());
    if (allowance.max_ttl) {
      summary.set_max_ttl_seconds(
          std::chrono::duration_cast<std::chrono::seconds>(*allowance.max_ttl).count());
    }
    summary.set_grant_expires_at(allowance.grant->expires ? ToUnixSeconds(*allowance.grant->expires)
                                                          : 0);
  }
  co_return Serialize(response);
}

Task<h2::UnaryReply> CredentialApi::CheckDestination(std::shared_ptr<h2::ServerCall> call,
                                                     std::string bytes) {
  if (auto header = CheckSecurityHeader(*call); !header.ok()) {
    co_return header.error();
  }
  credential::v1::CheckDestinationRequest request;
  if (auto parsed = ParseRequest(bytes, request); !parsed.ok()) {
    co_return parsed.error();
  }
  credential::v1::GetCredentialRequest wanted;
  wanted.set_destination(request.destination());
  wanted.set_spiffe_id(request.spiffe_id());
  auto asked = ToQuery(wanted, call->deadline());
  if (!asked.ok()) {
    co_return std::move(asked).error();
  }
  auto attested = co_await attestation_.Attest(
      call->caller(), call->deadline().Earlier(Deadline::After(kAttestTimeout)));
  if (!attested.ok()) {
    co_return AttestationError(*call, attested.error());
  }
  if (auto synced = CheckSynced(); !synced.ok()) {
    co_return synced.error();
  }
  PolicyQuery query;
  query.destination = asked->destination;
  query.spiffe_id = asked->spiffe_id;
  query.identities = IdentitiesOf(attested->selectors);
  query.selectors = std::move(attested->selectors);
  query.assurance = attested->process.assurance;
  query.uid = attested->process.uid;
  credential::v1::CheckDestinationResponse response;
  for (const HeldIdentity& identity : query.identities) {
    if (response.spiffe_ids_size() < kMaxIdentitiesShown) {
      response.add_spiffe_ids(identity.id.text());
    }
  }
  const Decision decision = broker_.Preview(query);
  response.set_found(decision.allowed || decision.refusal.code != Code::kNotFound);
  if (decision.allowed) {
    FillAllowance(*decision.allowed, response);
  } else {
    response.mutable_refusal()->set_fact(decision.refusal.reason);
    response.mutable_refusal()->set_fix(decision.refusal.fix);
  }
  co_return Serialize(response);
}

Task<h2::UnaryReply> CredentialApi::GetStatus(std::shared_ptr<h2::ServerCall> call,
                                              std::string /*bytes*/) {
  if (auto header = CheckSecurityHeader(*call); !header.ok()) {
    co_return header.error();
  }
  const AgentStatus status = status_();
  credential::v1::GetStatusResponse response;
  response.set_version(status.version);
  response.set_trust_domain(status.trust_domain);
  response.set_agent_id(status.agent_id);
  response.set_agent_svid_expires_at(SecondsOrZero(status.agent_svid_expires_at));
  response.set_server_address(status.server_address);
  response.set_last_sync_at(SecondsOrZero(status.last_sync_at));
  response.set_sync_error(status.sync_error);
  response.set_started_at(SecondsOrZero(status.started_at));
  response.set_entries(status.entries);
  response.set_x509_svids(status.x509_svids);
  response.set_jwt_svids(status.jwt_svids);
  response.set_destinations(status.destinations);
  response.set_grants(status.grants);
  for (const std::string& error : status.resource_errors) {
    response.add_resource_errors(error);
  }
  response.set_audit_error(status.audit_error);
  response.set_assurance(std::string(AssuranceName(status.assurance)));
  response.set_connections(status.connections);
  response.set_streams(status.calls);
  for (const std::string& warning : status.warnings) {
    response.add_warnings(warning);
  }
  co_return Serialize(response);
}

}  // namespace credence
