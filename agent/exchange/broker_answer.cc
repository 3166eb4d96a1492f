#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "agent/exchange/broker_core.h"

namespace credence {

Task<BrokerAnswer> Broker::Core::AwaitExchange(Request request,
                                               Allowance allowance,
                                               std::shared_ptr<CredentialSlot> slot,
                                               std::shared_ptr<Flight> flight) {
  if (stopping_) {
    request.answer.refusal = StoppingRefusal();
    co_return std::move(request.answer);
  }
  // It may have landed while this decision was written to the log; Finish decides again.
  const bool to_board = !flight->landed.is_set();
  if (to_board && IsStale(request, *slot)) {
    Decision decision = DecideOnHeld(request, *slot);
    if (!decision.allowed) {
      co_return co_await Refuse(std::move(request), std::move(decision.refusal));
    }
    allowance = *std::move(decision.allowed);
  }
  if (!IsStale(request, *slot)) {
    NoteUse(*slot, request, allowance);
  }
  if (to_board) {
    Board(slot, flight, request.query.deadline);
  }
  const bool landed = co_await flight->landed.Wait(request.query.deadline);
  if (!landed) {
    request.answer.refusal = {
        .code = Code::kDeadlineExceeded,
        .fact = fmt::format("destination {} has not answered yet", request.query.destination),
        .fix = "ask again: the exchange goes on and its credential will be there"};
    co_return std::move(request.answer);
  }
  co_return co_await Finish(std::move(request), slot, flight);
}

Task<BrokerAnswer> Broker::Core::Finish(Request request,
                                        std::shared_ptr<CredentialSlot> slot,
                                        std::shared_ptr<Flight> flight) {
  const ExchangeResult& result = flight->result;
  // The caller may have lost its grant while it waited.
  Decision decision = DecideAgain(request, *slot);
  if (!decision.allowed) {
    co_return co_await Refuse(std::move(request), std::move(decision.refusal));
  }
  // While a vendor is away, what it gave before is better than nothing.
  const bool old_will_do = result.may_pass && !result.unlogged;
  const bool alive = slot->credential && slot->Life().Alive(clock_.Now());
  if (!alive || (!result.credential && !old_will_do)) {
    request.answer.refusal =
        result.credential ? TooLateRefusal(request.query.destination) : result.refusal;
    co_return std::move(request.answer);
  }
  IssuedCredential issued = Issue(slot->credential, *decision.allowed);
  if (result.credential) {
    request.answer.issued = std::move(issued);
    co_return std::move(request.answer);
  }
  // The line of the decision names the exchange that has failed.
  request.exchange_id = slot->exchange_id;
  AuditEvent event = AllowedEvent(request, *decision.allowed, issued);
  const auto written = co_await audit_.Write(std::move(event));
  if (!written.ok()) {
    request.answer.refusal = AuditRefusal(written.error());
    co_return std::move(request.answer);
  }
  co_return co_await HandOut(
      std::move(request), *std::move(decision.allowed), slot, std::move(issued));
}

Task<BrokerAnswer> Broker::Core::HandOut(Request request,
                                         Allowance allowance,
                                         std::shared_ptr<CredentialSlot> slot,
                                         IssuedCredential issued) {
  const WallTime now = clock_.Now();
  if (!CredentialLife{issued.credential->issued_at, issued.expires_at}.Alive(now)) {
    const BrokerRefusal ended = EndedRefusal(request.query.destination);
    PolicyRefusal refusal = PlainRefusal(ended.code, ended.fact, ended.fix);
    co_return co_await Refuse(std::move(request), std::move(refusal));
  }
  if (IsStale(request, *slot)) {
    Decision decision = DecideOnHeld(request, *slot);
    if (!decision.allowed) {
      co_return co_await Refuse(std::move(request), std::move(decision.refusal));
    }
    allowance = *std::move(decision.allowed);
    issued = Issue(issued.credential, allowance);
  }
  NoteUse(*slot, request, allowance);
  RefreshIfDue(slot, now);
  request.answer.issued = std::move(issued);
  co_return std::move(request.answer);
}

Decision Broker::Core::DecideAgain(Request& request, const CredentialSlot& slot) const {
  request.snapshot = resources_.value();
  Decision decision = Decide(Current(), request.policy, Context());
  // What now allows it may be another identity's grant, one with another limit, or one that the log
  // does not name.
  const bool same = decision.allowed && decision.allowed->grant->name == request.grant &&
                    KeyOf(*decision.allowed, request.query.parameters) == slot.key &&
                    slot.MadeFor(*decision.allowed->destination);
  return decision.allowed && !same ? ChangedDecision(request) : decision;
}

Decision Broker::Core::DecideOnHeld(Request& request, const CredentialSlot& slot) const {
  Decision decision = DecideAgain(request, slot);
  // What was dropped may be revoked by now, also if it is granted again.
  return decision.allowed && !cache_.Holds(slot) ? ChangedDecision(request) : decision;
}

Decision Broker::Core::ChangedDecision(const Request& request) {
  const BrokerRefusal changed = ChangedRefusal(request.query.destination);
  return Decision{.refusal = PlainRefusal(changed.code, changed.fact, changed.fix)};
}

IssuedCredential Broker::Core::Issue(const SharedCredential& credential,
                                     const Allowance& allowance) {
  const CredentialLife life{credential->issued_at, LimitedExpiry(*credential, allowance.max_ttl)};
  const WallTime end =
      std::min(life.expires_at, allowance.grant->expires.value_or(WallTime::max()));
  return IssuedCredential{.credential = credential,
                          .delivery = allowance.destination->target->Deliver(*credential, end),
                          .expires_at = end,
                          // Late enough for the background refresh to have been there.
                          .refresh_at = std::min(life.RefreshAt(1), end),
                          .spiffe_id = allowance.identity.id.text(),
                          .grant = allowance.grant->name};
}

}  // namespace credence
