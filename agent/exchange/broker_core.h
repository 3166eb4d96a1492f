#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/exchange/broker.h"
#include "agent/exchange/credential_cache.h"
#include "base/core/task_group.h"

namespace credence {

/// What broker.h hides: the decision on a request (broker.cc), its answer after a wait
/// (broker_answer.cc) and what happens in the background (broker_upkeep.cc).
class Broker::Core {
 public:
  Core(asio::any_io_executor executor,
       const Clock& clock,
       Watch<SharedResources>& resources,
       FreshJwtSource& jwt_source,
       AuditSink& audit,
       Options options);

  void Start();
  Task<void> Stop();
  void SetAgentId(std::string agent_id) { agent_id_ = std::move(agent_id); }
  Task<BrokerAnswer> Get(CredentialQuery query);
  std::vector<Allowance> List(const PolicyQuery& query) const;
  Decision Preview(const PolicyQuery& query) const;
  std::size_t size() const { return cache_.credentials(); }

 private:
  class Landing;
  /// Where one request stands.
  struct Request {
    CredentialQuery query;
    PolicyQuery policy;
    /// Keeps what the decision points to.
    SharedResources snapshot;
    /// By which it was allowed, as the log says; "" before that.
    std::string grant;
    /// What it is answered with, as far as that is known.
    std::string exchange_id;
    BrokerAnswer answer;
  };

  // A request, in this order.
  BrokerRefusal RefuseFlood(uid_t uid);
  Task<BrokerAnswer> Refuse(Request request, PolicyRefusal refusal);
  Task<BrokerAnswer> Allow(Request request, Allowance allowance);
  Task<BrokerAnswer> AwaitExchange(Request request,
                                   Allowance allowance,
                                   std::shared_ptr<CredentialSlot> slot,
                                   std::shared_ptr<Flight> flight);
  Task<BrokerAnswer> Finish(Request request,
                            std::shared_ptr<CredentialSlot> slot,
                            std::shared_ptr<Flight> flight);

  /// The last look before a cached credential leaves: writing its decision may have taken a while.
  Task<BrokerAnswer> HandOut(Request request,
                             Allowance allowance,
                             std::shared_ptr<CredentialSlot> slot,
                             IssuedCredential issued);
  /// Whether anything has happened since that the decision on `request` may depend on.
  bool IsStale(const Request& request, const CredentialSlot& slot) const {
    return resources_.value() != request.snapshot || !cache_.Holds(slot);
  }
  /// What the present resources say. Allowed only by the same grant, and if `slot` is still the one
  /// for the request.
  Decision DecideAgain(Request& request, const CredentialSlot& slot) const;
  /// The same, and `slot` must be in the cache.
  Decision DecideOnHeld(Request& request, const CredentialSlot& slot) const;
  static Decision ChangedDecision(const Request& request);

  AuditEvent DecisionEvent(const Request& request) const;
  AuditEvent AllowedEvent(const Request& request,
                          const Allowance& allowance,
                          const std::optional<IssuedCredential>& cached) const;
  /// The flight that a request without a cached answer will wait for: the one under way or the
  /// next.
  static std::shared_ptr<Flight> PlanFlight(CredentialSlot& slot);
  void NoteUse(CredentialSlot& slot, const Request& request, const Allowance& allowance);
  /// nullopt if the vendor has to be asked, or has just said no.
  std::optional<IssuedCredential> FromCache(const CredentialSlot& slot,
                                            const Allowance& allowance,
                                            std::chrono::seconds min_ttl) const;
  /// `credential` is one of the destination of `allowance`.
  static IssuedCredential Issue(const SharedCredential& credential, const Allowance& allowance);
  /// What is in force now; holds until the resources change.
  const Resources& Current() const;
  Standing StandingNow(const CredentialSlot& slot) const {
    return StandingOf(
        Current(), slot.key.spiffe_id, slot.key.destination, slot.key.max_ttl, clock_.Now());
  }
  /// Whether a credential for the slot is still of use to anyone.
  bool WantedNow(const CredentialSlot& slot) const {
    return StandingNow(slot) == Standing::kGranted &&
           slot.MadeFor(*Current().FindDestination(slot.key.destination));
  }
  /// By whichever limit.
  bool GrantedNow(const ExchangeOrder& order) const {
    const auto standing = StandingOf(
        Current(), order.identity.id.text(), order.destination, std::nullopt, clock_.Now());
    return standing != Standing::kNone;
  }
  PolicyContext Context() const {
    return {.now = clock_.Now(),
            .agent_id = agent_id_,
            .own_authority = options_.own_authority && options_.own_authority()};
  }

  // Exchanges and upkeep.
  /// Starts `flight`, which was planned for `slot`, or has it wait for one more caller.
  void Board(const std::shared_ptr<CredentialSlot>& slot,
             const std::shared_ptr<Flight>& flight,
             Deadline callers);
  Task<void> RunFlight(std::shared_ptr<CredentialSlot> slot,
                       std::shared_ptr<Flight> flight,
                       ExchangeOrder order);
  void Land(CredentialSlot& slot, const ExchangeResult& result);
  SharedCredential RenewableOf(const CredentialSlot& slot) const;
  Task<void> FollowResources();
  void ApplyResources();
  /// Drops what no grant gives any more, and has it revoked.
  void DropUngranted();
  /// nullopt if the slot holds nothing.
  static std::optional<Revocation> RevocationOf(const CredentialSlot& slot);
  /// Ends them at their vendors in the background, unless they are granted again by then.
  void Revoke(std::vector<Revocation> revocations);
  /// An exchange for `slot` has ended after it was dropped; `before` is what it held when that
  /// began.
  void RevokeStray(const CredentialSlot& slot, std::optional<Revocation> before, bool renewed);
  Task<void> Maintain();
  /// Refreshes and drops what is due; returns when it wants to run again.
  WallTime Tend();
  void RefreshIfDue(const std::shared_ptr<CredentialSlot>& slot, WallTime now);

  const Clock& clock_;
  Watch<SharedResources>& resources_;
  FreshJwtSource& jwt_source_;
  AuditSink& audit_;
  Options options_;
  std::string agent_id_;
  Exchanger exchanger_;
  Revoker revoker_;
  CredentialCache cache_;
  UidBudget decisions_;
  UidBudget refusals_;
  std::optional<Deadline> next_flood_log_;
  std::uint64_t floods_unlogged_ = 0;
  bool stopping_ = false;
  /// Wakes upkeep.
  Watch<std::monostate> upkeep_;
  /// When the next grant ends by itself, as upkeep saw it last.
  WallTime grants_end_ = WallTime::max();
  /// What the background has seen of resources_.
  SharedResources applied_;
  TaskGroup running_;
};

}  // namespace credence
