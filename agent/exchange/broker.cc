#include "agent/exchange/broker.h"

#include <utility>

#include <fmt/format.h>

#include "agent/exchange/broker_core.h"
#include "base/core/log.h"
#include "base/crypto/digest.h"

namespace credence {
namespace {

const Resources& Of(const SharedResources& resources) {
  static const auto* const kNone = new Resources();
  return resources ? *resources : *kNone;
}

PolicyQuery PolicyQueryOf(const CredentialQuery& query) {
  return PolicyQuery{.identities = query.identities,
                     .selectors = query.subject.selectors,
                     .assurance = query.subject.assurance,
                     .uid = query.subject.uid,
                     .destination = query.destination,
                     .spiffe_id = query.spiffe_id,
                     .parameters = query.parameters};
}

BrokerRefusal ToBrokerRefusal(const PolicyRefusal& refusal) {
  return BrokerRefusal{.code = refusal.code, .fact = refusal.reason, .fix = refusal.fix};
}

/// A name that a grant would never hold, whatever a caller sends.
constexpr std::size_t kMaxDestinationName = 253;

}  // namespace

Broker::Core::Core(asio::any_io_executor executor,
                   const Clock& clock,
                   Watch<SharedResources>& resources,
                   FreshJwtSource& jwt_source,
                   AuditSink& audit,
                   Options options)
    : clock_(clock),
      resources_(resources),
      jwt_source_(jwt_source),
      audit_(audit),
      options_(options),
      exchanger_(clock, jwt_source, audit, options.exchange),
      revoker_(clock,
               audit,
               options.revocation,
               [this](const ExchangeOrder& order) { return GrantedNow(order); }),
      cache_(options.max_credentials, options.max_per_identity),
      decisions_(options.decisions),
      refusals_(options.refusals),
      upkeep_(executor, {}),
      running_(executor) {}

Task<BrokerAnswer> Broker::Core::Get(CredentialQuery query) {
  Request request{.query = std::move(query)};
  if (stopping_) {
    request.answer.refusal = StoppingRefusal();
    co_return std::move(request.answer);
  }
  if (request.query.destination.size() > kMaxDestinationName) {
    request.answer.refusal = {.code = Code::kInvalidArgument,
                              .fact = "the name of the destination is too long"};
    co_return std::move(request.answer);
  }
  const uid_t uid = request.query.subject.uid;
  const SteadyTime now = clock_.SteadyNow();
  request.policy = PolicyQueryOf(request.query);
  request.snapshot = resources_.value();
  Decision decision = Decide(Of(request.snapshot), request.policy, Context());
  const bool within = decisions_.Take(uid, now) && (decision.allowed || refusals_.Take(uid, now));
  if (!within) {
    request.answer.refusal = RefuseFlood(uid);
    co_return std::move(request.answer);
  }
  request.answer.decision_id = RandomUuid();
  if (!decision.allowed) {
    co_return co_await Refuse(std::move(request), std::move(decision.refusal));
  }
  co_return co_await Allow(std::move(request), *std::move(decision.allowed));
}

/// Each decision is a line in the audit log; a user who floods must not fill the disk with them.
BrokerRefusal Broker::Core::RefuseFlood(uid_t uid) {
  constexpr auto kLogEvery = std::chrono::seconds(10);
  ++floods_unlogged_;
  if (!next_flood_log_ || next_flood_log_->Passed()) {
    next_flood_log_ = Deadline::After(kLogEvery);
    LogWarn("Requests for credentials come too fast and are not decided",
            {{"uid", uid}, {"requests", std::exchange(floods_unlogged_, 0)}});
  }
  return BrokerRefusal{.code = Code::kResourceExhausted,
                       .fact = fmt::format("uid {} asks for credentials too often", uid),
                       .fix = "wait, and keep a credential until its refresh_at"};
}

AuditEvent Broker::Core::DecisionEvent(const Request& request) const {
  AuditEvent event;
  event.kind = AuditKind::kDecision;
  event.time = clock_.Now();
  event.decision_id = request.answer.decision_id;
  event.exchange_id = request.exchange_id;
  event.subject = request.query.subject;
  event.destination = request.query.destination;
  event.action = "get";
  return event;
}

Task<BrokerAnswer> Broker::Core::Refuse(Request request, PolicyRefusal refusal) {
  AuditEvent event = DecisionEvent(request);
  event.result = AuditResult::kDenied;
  if (!request.query.identities.empty()) {
    event.subject.spiffe_id = request.query.identities.front().id.text();
  }
  event.grant = refusal.grant;
  event.reason = refusal.audit_reason;
  event.fix = refusal.audit_fix;
  const auto written = co_await audit_.Write(std::move(event));
  if (!written.ok()) {
    // A refusal hands out nothing, so it stands; status shows that the log fails.
    request.answer.decision_id = "";
  }
  request.answer.refusal = ToBrokerRefusal(refusal);
  co_return std::move(request.answer);
}

Task<BrokerAnswer> Broker::Core::Allow(Request request, Allowance allowance) {
  request.grant = allowance.grant->name;
  const auto found =
      cache_.FindOrAdd(KeyOf(allowance, request.query.parameters), *allowance.destination);
  const std::shared_ptr<CredentialSlot> slot = found.ok() ? *found : nullptr;
  std::optional<IssuedCredential> issued;
  if (slot) {
    issued = FromCache(*slot, allowance, request.query.min_ttl);
  }
  // Decided on now, so that the line of this decision names the exchange that answers it.
  std::shared_ptr<Flight> flight;
  std::string failure;
  if (slot == nullptr) {
    request.answer.refusal = {.code = found.error().code(), .fact = found.error().message()};
    failure = found.error().message();
  } else if (issued) {
    request.exchange_id = slot->exchange_id;
  } else if (slot->DeniedAt(clock_.SteadyNow())) {
    request.answer.refusal = slot->denial->refusal;
    request.exchange_id = slot->denial->exchange_id;
    failure = fmt::format("the vendor's answer is remembered: {}", slot->denial->refusal.fact);
  } else {
    flight = PlanFlight(*slot);
    request.exchange_id = flight->id;
  }
  AuditEvent event = AllowedEvent(request, allowance, issued);
  if (!failure.empty()) {
    event.result = AuditResult::kFailed;
    event.reason += "; " + failure;
  }
  const auto written = co_await audit_.Write(std::move(event));
  if (!written.ok()) {
    request.answer.refusal = AuditRefusal(written.error());
    co_return std::move(request.answer);
  }
  if (flight) {
    co_return co_await AwaitExchange(std::move(request), std::move(allowance), slot, flight);
  }
  if (issued) {
    co_return co_await HandOut(std::move(request), std::move(allowance), slot, *std::move(issued));
  }
  co_return std::move(request.answer);
}

std::shared_ptr<Flight> Broker::Core::PlanFlight(CredentialSlot& slot) {
  if (slot.flight) {
    return slot.flight;
  }
  if (auto planned = slot.planned.lock()) {
    return planned;
  }
  auto flight = std::make_shared<Flight>();
  flight->id = RandomUuid();
  slot.planned = flight;
  return flight;
}

AuditEvent Broker::Core::AllowedEvent(const Request& request,
                                      const Allowance& allowance,
                                      const std::optional<IssuedCredential>& cached) const {
  AuditEvent event = DecisionEvent(request);
  event.subject.spiffe_id = allowance.identity.id.text();
  event.grant = allowance.grant->name;
  event.result = AuditResult::kAllowed;
  event.reason = fmt::format("grant {} allows it", allowance.grant->name);
  if (cached) {
    event.from_cache = true;
    event.expires_at = cached->expires_at;
    event.request_id = cached->credential->request_id;
  }
  return event;
}

void Broker::Core::NoteUse(CredentialSlot& slot,
                           const Request& request,
                           const Allowance& allowance) {
  const bool other_entry =
      slot.last_order && slot.last_order->identity.entry_id != allowance.identity.entry_id;
  if (other_entry && slot.refresh_at == WallTime::max() && !slot.DeniedAt(clock_.SteadyNow())) {
    // What was refused for good was refused to the entry before.
    slot.refresh_at = clock_.Now();
  }
  slot.last_order = ExchangeOrder{.subject = request.query.subject,
                                  .decision_id = request.answer.decision_id,
                                  .exchange_id = "",
                                  .grant = allowance.grant->name,
                                  .identity = allowance.identity,
                                  .destination = allowance.destination->name,
                                  .target = allowance.destination->target,
                                  .parameters = request.query.parameters,
                                  .renew = nullptr};
  slot.last_order->subject.spiffe_id = allowance.identity.id.text();
  slot.last_used = clock_.SteadyNow();
  if (!std::exchange(slot.used_since_refresh, true)) {
    // From now on its refresh is something to wait for.
    upkeep_.Set({});
  }
}

std::optional<IssuedCredential> Broker::Core::FromCache(const CredentialSlot& slot,
                                                        const Allowance& allowance,
                                                        std::chrono::seconds min_ttl) const {
  if (!slot.credential) {
    return std::nullopt;
  }
  const CredentialLife life = slot.Life();
  const bool serves = life.Serves(clock_.Now(), min_ttl);
  // While the vendor wants to be left alone, what it gave before is the best there is.
  const bool left_alone = slot.DeniedAt(clock_.SteadyNow()) && slot.denial->may_pass;
  if (!serves && !(left_alone && life.Alive(clock_.Now()))) {
    return std::nullopt;
  }
  return Issue(slot.credential, allowance);
}

const Resources& Broker::Core::Current() const {
  return Of(resources_.value());
}

std::vector<Allowance> Broker::Core::List(const PolicyQuery& query) const {
  return ListAllowed(Current(), query, Context());
}

Decision Broker::Core::Preview(const PolicyQuery& query) const {
  return Decide(Current(), query, Context());
}

Broker::Broker(asio::any_io_executor executor,
               const Clock& clock,
               Watch<SharedResources>& resources,
               FreshJwtSource& jwt_source,
               AuditSink& audit,
               Options options)
    : core_(std::make_unique<Core>(
          std::move(executor), clock, resources, jwt_source, audit, options)) {}

Broker::~Broker() = default;

void Broker::Start() {
  core_->Start();
}

Task<void> Broker::Stop() {
  return core_->Stop();
}

void Broker::SetAgentId(std::string agent_id) {
  core_->SetAgentId(std::move(agent_id));
}

Task<BrokerAnswer> Broker::Get(CredentialQuery query) {
  return core_->Get(std::move(query));
}

std::vector<Allowance> Broker::List(const PolicyQuery& query) const {
  return core_->List(query);
}

Decision Broker::Preview(const PolicyQuery& query) const {
  return core_->Preview(query);
}

std::size_t Broker::size() const {
  return core_->size();
}

}  // namespace credence
