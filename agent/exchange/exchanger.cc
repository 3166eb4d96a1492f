#include "agent/exchange/exchanger.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/core/log.h"

namespace credence {
namespace {

using std::chrono::milliseconds;

Task<Result<ExchangeOutcome>> AsResult(Task<ExchangeOutcome> call) {
  ExchangeOutcome outcome = co_await std::move(call);
  co_return outcome;
}

/// Bounds a call even if the adapter forgets its deadline.
Task<ExchangeOutcome> Bounded(Task<ExchangeOutcome> call, Deadline deadline) {
  constexpr auto kGrace = std::chrono::seconds(1);
  auto outcome =
      co_await WithDeadline(Deadline::At(deadline.time() + kGrace), AsResult(std::move(call)));
  if (!outcome.ok()) {
    co_return ExchangeOutcome{
        .error = {.failure = ExchangeFailure::kUnavailable, .message = "no answer in time"}};
  }
  co_return *std::move(outcome);
}

/// What the destination would refuse anyway, found out before anything is sent.
Result<void> CheckSvid(const JwtSvid& svid, const SpiffeId& id, const SvidNeeds& needs) {
  if (svid.id != id) {
    return Error(Code::kInternal,
                 fmt::format("the JWT-SVID is for {}, not for {}", svid.id.text(), id.text()));
  }
  for (const std::string& audience : needs.audience) {
    if (std::find(svid.audience.begin(), svid.audience.end(), audience) == svid.audience.end()) {
      return Error(Code::kInternal,
                   fmt::format("the JWT-SVID is not for the audience {}", audience));
    }
  }
  if (svid.token->size() > needs.max_bytes) {
    return Error(Code::kFailedPrecondition,
                 fmt::format("the JWT-SVID has {} bytes; the destination takes at most {}",
                             svid.token->size(),
                             needs.max_bytes));
  }
  const auto life =
      std::chrono::duration_cast<std::chrono::seconds>(svid.expires_at - svid.issued_at);
  if (life > needs.max_lifetime) {
    return Error(
        Code::kFailedPrecondition,
        fmt::format(
            "the JWT-SVID lives {} s; the destination takes at most {} s: lower -jwtSVIDTTL of "
            "the registration entry",
            life.count(),
            needs.max_lifetime.count()));
  }
  return Ok();
}

/// Whether the server may sign when it is asked again; the rest needs another set-up.
bool ServerMayRelent(Code code) {
  return code != Code::kFailedPrecondition && code != Code::kPermissionDenied &&
         code != Code::kInvalidArgument && code != Code::kUnimplemented;
}

bool Wanted(const ExchangeOrder& order) {
  return !order.wanted || order.wanted();
}

/// Ends a credential that nobody gets and that the audit log does not know.
Task<void> Discard(ExchangeOrder order, SharedCredential credential) {
  constexpr auto kTimeout = std::chrono::seconds(5);
  const Deadline deadline = Deadline::After(kTimeout);
  auto call = order.target->Revoke(std::move(credential), deadline);
  const Result<void> revoked = co_await WithDeadline(deadline, std::move(call));
  if (!revoked.ok()) {
    LogWarn("A credential that the audit log could not take was not revoked",
            {{"destination", order.destination}, {"error", revoked.error()}});
  }
}

/// What the vendor asked of all of us, for one more call.
ExchangeError AskedForSilence(SteadyTime::duration left) {
  return ExchangeError{.failure = ExchangeFailure::kRateLimited,
                       .message = "it asked for no calls until then",
                       .retry_after = std::chrono::ceil<std::chrono::seconds>(left)};
}

}  // namespace

AuditEvent ExchangeEvent(const ExchangeOrder& order, std::string action, WallTime now) {
  AuditEvent event;
  event.kind = AuditKind::kExchange;
  event.time = now;
  event.decision_id = order.decision_id;
  event.exchange_id = order.exchange_id;
  event.subject = order.subject;
  event.destination = order.destination;
  event.grant = order.grant;
  event.action = std::move(action);
  return event;
}

bool MayPass(ExchangeFailure failure) {
  return failure == ExchangeFailure::kRateLimited || failure == ExchangeFailure::kUnavailable ||
         failure == ExchangeFailure::kPropagation || failure == ExchangeFailure::kBadResponse;
}

/// Tells the circuit how a call ended, also when it is cancelled.
class Exchanger::Trial {
 public:
  explicit Trial(std::shared_ptr<Gate> gate) : gate_(std::move(gate)) {}
  ~Trial() {
    if (gate_) {
      gate_->circuit.Undecided();
    }
  }
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  /// A call begins. One that has to end much sooner than usual says nothing by not being answered.
  void Begin(Deadline deadline, std::chrono::nanoseconds usual) {
    constexpr int kLeastPart = 3;
    deadline_ = deadline;
    hurried_ = deadline.Remaining() < usual / kLeastPart;
  }

  void End(const ExchangeOutcome& outcome, SteadyTime now) {
    const auto gate = std::exchange(gate_, nullptr);
    if (outcome.error.retry_after) {
      const auto asked = std::clamp<std::chrono::seconds>(
          *outcome.error.retry_after, std::chrono::seconds(0), kMostSharedSilence);
      gate->not_before = std::max(gate->not_before, now + asked);
    }
    const bool away = !outcome.credential && outcome.error.failure == ExchangeFailure::kUnavailable;
    if (away && hurried_ && deadline_->Passed()) {
      gate->circuit.Undecided();
    } else if (away) {
      gate->circuit.Failed(now);
    } else {
      gate->circuit.Succeeded();
    }
  }

 private:
  std::shared_ptr<Gate> gate_;
  std::optional<Deadline> deadline_;
  bool hurried_ = false;
};

Exchanger::Exchanger(const Clock& clock,
                     FreshJwtSource& jwt_source,
                     AuditSink& audit,
                     Options options)
    : clock_(clock),
      jwt_source_(jwt_source),
      audit_(audit),
      options_(options),
      spent_(options.max_spent) {}

std::shared_ptr<Exchanger::Gate> Exchanger::GateOf(const std::string& destination) {
  auto& gate = gates_[destination];
  if (!gate) {
    gate = std::make_shared<Gate>(
        Gate{CallSlots(options_.concurrency, options_.max_waiting), Circuit(options_.circuit)});
  }
  return gate;
}

Task<ExchangeResult> Exchanger::Run(ExchangeOrder order,
                                    std::shared_ptr<const ExchangePatience> patience) {
  RetryPlan plan(options_.retry);
  // The same to the end: once it is forgotten, another one is for the changed destination.
  const auto gate = GateOf(order.destination);
  while (true) {
    Attempted attempted = co_await Attempt(order, patience->end, gate);
    if (attempted.credential) {
      co_return ExchangeResult{.credential = std::move(attempted.credential),
                               .renewed = attempted.renewed};
    }
    if (attempted.final) {
      co_return *std::move(attempted.final);
    }
    const bool useless = !MayPass(attempted.error.failure) ||
                         attempted.error.failure == ExchangeFailure::kBadResponse;
    if (attempted.renewed && useless) {
      order.renew = nullptr;
      continue;
    }
    const auto step = plan.Next(attempted.error);
    if (!step.retry) {
      co_return GiveUp(order, attempted.error, step.remember);
    }
    if (Deadline::After(*step.retry).time() >= patience->callers.Earlier(patience->end).time()) {
      // Nobody would wait that long. Only a vendor's own wish keeps later callers away.
      const bool asked = attempted.error.retry_after.has_value();
      co_return GiveUp(order, attempted.error, asked ? *step.retry : milliseconds(0));
    }
    co_await Sleep(*step.retry);
  }
}

ExchangeResult Exchanger::GiveUp(const ExchangeOrder& order,
                                 const ExchangeError& error,
                                 milliseconds remember) const {
  std::optional<WallTime> retry_at;
  if (remember.count() > 0) {
    retry_at = clock_.Now() + remember;
  }
  return ExchangeResult{.refusal = VendorRefusal(order.destination, error, retry_at),
                        .may_pass = MayPass(error.failure),
                        .opaque = error.failure == ExchangeFailure::kOpaqueDenied,
                        .remember = remember};
}

Exchanger::Attempted Exchanger::EndForNow(BrokerRefusal refusal) {
  return Attempted{.final = ExchangeResult{.refusal = std::move(refusal), .may_pass = true}};
}

Task<Exchanger::Attempted> Exchanger::Attempt(ExchangeOrder order,
                                              Deadline end,
                                              std::shared_ptr<Gate> gate) {
  const auto permit = co_await gate->slots.Acquire(end);
  if (!permit.ok()) {
    co_return EndForNow(
        {.code = Code::kUnavailable,
         .fact = fmt::format(
             "destination {} is busy: {}", order.destination, permit.error().message())});
  }
  if (!Wanted(order)) {
    co_return EndForNow(ChangedRefusal(order.destination));
  }
  const SteadyTime now = clock_.SteadyNow();
  if (now < gate->not_before) {
    co_return Attempted{.error = AskedForSilence(gate->not_before - now)};
  }
  if (!gate->circuit.Allow(now)) {
    const auto wait =
        std::max(gate->circuit.next_trial() - now, SteadyTime::duration(std::chrono::seconds(1)));
    const WallTime retry_at = clock_.Now() + std::chrono::duration_cast<WallTime::duration>(wait);
    co_return EndForNow(
        {.code = Code::kUnavailable,
         .fact = fmt::format("destination {} failed too often and is left alone until {}",
                             order.destination,
                             FormatRfc3339(retry_at)),
         .retry_at = retry_at});
  }
  if (order.renew && !jwt_source_.Holds(order.identity.entry_id, order.identity.id)) {
    // A renewal needs no SVID, so a server that has withdrawn the identity could not end it.
    order.renew = nullptr;
  }
  if (order.renew) {
    co_return co_await Renew(std::move(order), end, gate);
  }
  co_return co_await Exchange(std::move(order), end, gate);
}

Deadline Exchanger::StepEnd(Deadline end) const {
  return end.Earlier(Deadline::After(options_.attempt_timeout));
}

Task<Exchanger::Attempted> Exchanger::Exchange(ExchangeOrder order,
                                               Deadline end,
                                               std::shared_ptr<Gate> gate) {
  Trial trial(std::move(gate));
  auto svid = co_await FreshSvid(order, StepEnd(end));
  if (!svid.ok()) {
    co_return co_await ConcludeWithoutSvid(std::move(order), std::move(svid).error());
  }
  if (!Wanted(order)) {
    co_return EndForNow(ChangedRefusal(order.destination));
  }
  const Deadline deadline = StepEnd(end);
  trial.Begin(deadline, options_.attempt_timeout);
  auto call = order.target->Exchange(*std::move(svid), order.parameters, deadline);
  ExchangeOutcome outcome = co_await Bounded(std::move(call), deadline);
  trial.End(outcome, clock_.SteadyNow());
  co_return co_await Conclude(std::move(order), std::move(outcome));
}

Task<Exchanger::Attempted> Exchanger::Renew(ExchangeOrder order,
                                            Deadline end,
                                            std::shared_ptr<Gate> gate) {
  Trial trial(std::move(gate));
  const Deadline deadline = StepEnd(end);
  trial.Begin(deadline, options_.attempt_timeout);
  auto call = order.target->Renew(order.renew, deadline);
  ExchangeOutcome outcome = co_await Bounded(std::move(call), deadline);
  trial.End(outcome, clock_.SteadyNow());
  co_return co_await Conclude(std::move(order), std::move(outcome));
}

Task<Result<JwtSvid>> Exchanger::FreshSvid(ExchangeOrder order, Deadline deadline) {
  const SvidNeeds& needs = order.target->svid_needs();
  // Several destinations that want the same audience at once get one token a second between them.
  constexpr int kTries = 20;
  for (int tries = 0; tries < kTries && !deadline.Passed(); ++tries) {
    if (tries > 0) {
      co_await Sleep(options_.repeated_svid_wait);
    }
    auto svid = co_await jwt_source_.FetchFresh(
        order.identity.entry_id, order.identity.id, needs.audience, deadline);
    if (!svid.ok()) {
      co_return svid;
    }
    if (auto fits = CheckSvid(*svid, order.identity.id, needs); !fits.ok()) {
      co_return std::move(fits).error();
    }
    if (spent_.Spend(*svid)) {
      co_return svid;
    }
  }
  co_return Error(Code::kUnavailable,
                  "the server gave the same JWT-SVID again; it is not sent twice");
}

Task<Exchanger::Attempted> Exchanger::Conclude(ExchangeOrder order, ExchangeOutcome outcome) {
  const WallTime now = clock_.Now();
  if (outcome.credential && outcome.credential->expires_at <= now) {
    const std::string request_id = outcome.credential->request_id;
    outcome = ExchangeOutcome{.error = {.failure = ExchangeFailure::kBadResponse,
                                        .message = "the credential has expired already",
                                        .request_id = request_id}};
  }
  const bool renewed = order.renew != nullptr;
  AuditEvent event = ExchangeEvent(order, renewed ? "renew" : "exchange", now);
  if (outcome.credential) {
    event.result = AuditResult::kAllowed;
    event.request_id = outcome.credential->request_id;
    event.expires_at = outcome.credential->expires_at;
  } else {
    event.result = AuditResult::kFailed;
    event.failure = ExchangeFailureName(outcome.error.failure);
    event.reason = outcome.error.message;
    event.request_id = outcome.error.request_id;
  }
  const auto written = co_await audit_.Write(std::move(event));
  if (!written.ok()) {
    if (outcome.credential && !renewed) {
      co_await Discard(std::move(order), outcome.credential);
    }
    co_return Unlogged(written.error());
  }
  co_return Attempted{.credential = std::move(outcome.credential),
                      .error = std::move(outcome.error),
                      .renewed = renewed};
}

Task<Exchanger::Attempted> Exchanger::ConcludeWithoutSvid(ExchangeOrder order, Error error) {
  AuditEvent event = ExchangeEvent(order, "exchange", clock_.Now());
  event.result = AuditResult::kFailed;
  event.reason = fmt::format("no JWT-SVID was sent: {}", error.message());
  const auto written = co_await audit_.Write(std::move(event));
  if (!written.ok()) {
    co_return Unlogged(written.error());
  }
  BrokerRefusal refusal{
      .code = error.code(),
      .fact =
          fmt::format("no JWT-SVID for destination {}: {}", order.destination, error.message())};
  if (!jwt_source_.Holds(order.identity.entry_id, order.identity.id)) {
    // Nothing that this identity was given before is handed out in its place.
    co_return Attempted{.final = ExchangeResult{.refusal = std::move(refusal)}};
  }
  if (ServerMayRelent(error.code())) {
    co_return EndForNow(std::move(refusal));
  }
  refusal.retry_at = clock_.Now() + kShortMemory;
  co_return Attempted{.final =
                          ExchangeResult{.refusal = std::move(refusal), .remember = kShortMemory}};
}

Exchanger::Attempted Exchanger::Unlogged(const Error& error) {
  Attempted attempted = EndForNow(AuditRefusal(error));
  attempted.final->unlogged = true;
  return attempted;
}

}  // namespace credence
