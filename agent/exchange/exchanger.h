#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "agent/config/resources.h"
#include "agent/exchange/audit_event.h"
#include "agent/exchange/broker_refusal.h"
#include "agent/exchange/call_slots.h"
#include "agent/exchange/circuit.h"
#include "agent/exchange/fresh_jwt_source.h"
#include "agent/exchange/policy.h"
#include "agent/exchange/retry_plan.h"
#include "agent/exchange/spent_svids.h"
#include "base/core/clock.h"
#include "base/core/deadline.h"
#include "base/core/task.h"
#include "plugins/contract/destination_adapter.h"

namespace credence {

/// One exchange that was decided on.
struct ExchangeOrder {
  /// For the audit log.
  AuditSubject subject;
  std::string decision_id;
  std::string exchange_id;
  std::string grant;
  HeldIdentity identity;
  std::string destination;
  std::shared_ptr<Destination> target;
  Settings parameters;
  /// Prolong this one if the vendor lets us; null: exchange.
  SharedCredential renew;
  /// Asked before each call to the vendor, as resources may be read again while one waits; null:
  /// always.
  std::function<bool()> wanted;
};

/// How long an exchange may go on; callers that join later may move `callers`.
struct ExchangePatience {
  /// When the last caller leaves: no new attempt is planned for later.
  Deadline callers;
  /// When everything ends.
  Deadline end;
};

struct ExchangeResult {
  std::string exchange_id;
  /// Null: `refusal` says why.
  SharedCredential credential;
  BrokerRefusal refusal;
  /// The failure may pass by itself, so a credential that is still valid goes on being served and
  /// refreshed.
  bool may_pass = false;
  /// The vendor says no without a reason, which may be its clock or its copy of the keys: callers
  /// are refused, but refreshing goes on.
  bool opaque = false;
  /// The audit log failed: nothing may be handed out, not even a credential from before.
  bool unlogged = false;
  /// `credential` came of a renewal.
  bool renewed = false;
  /// Do not ask the vendor again for this long.
  std::chrono::milliseconds remember{0};
};

/// A Retry-After keeps every identity away from its destination for at most this long: what it says
/// may be meant for one of them. The one that got it waits as long as it says,
/// which adapters cut to an hour.
inline constexpr std::chrono::minutes kMostSharedSilence(5);

/// Makes calls to vendors: at most so many to one destination at a time, none while its circuit is
/// open or before the time that a Retry-After named (see kMostSharedSilence), each with a JWT-SVID
/// that was never sent before and that fits what the destination asks for, each in the audit log
/// before its credential is returned, again as the class of failure says. Threads: core thread.
/// References outlive it.
class Exchanger {
 public:
  struct Options {
    /// Longest for one call to a vendor, and for getting its JWT-SVID.
    std::chrono::milliseconds attempt_timeout{30'000};
    /// Calls to one destination at a time, and how many more may wait for their turn.
    std::size_t concurrency = 8;
    std::size_t max_waiting = 256;
    Circuit::Options circuit;
    RetryPlan::Options retry{.backoff = {.initial = std::chrono::milliseconds(500),
                                         .cap = std::chrono::milliseconds(10'000)}};
    /// JWT-SVIDs without jti that are signed in one second may be the same bytes; how long to wait
    /// for another.
    std::chrono::milliseconds repeated_svid_wait{1'100};
    /// JWT-SVIDs remembered as spent.
    std::size_t max_spent = 20'000;
  };

  Exchanger(const Clock& clock, FreshJwtSource& jwt_source, AuditSink& audit, Options options);

  Task<ExchangeResult> Run(ExchangeOrder order, std::shared_ptr<const ExchangePatience> patience);

  /// Forgets limits and circuit of a destination that was changed or removed; what is under way
  /// goes on with the old ones.
  void Forget(const std::string& destination) { gates_.erase(destination); }

 private:
  /// What stands before every call to one destination.
  struct Gate {
    CallSlots slots;
    Circuit circuit;
    /// Until when nobody calls the vendor (Retry-After).
    SteadyTime not_before{};
  };
  class Trial;
  struct Attempted {
    SharedCredential credential;
    /// Set when another attempt makes no sense.
    std::optional<ExchangeResult> final;
    ExchangeError error;
    bool renewed = false;
  };

  Task<Attempted> Attempt(ExchangeOrder order, Deadline end, std::shared_ptr<Gate> gate);
  Task<Attempted> Exchange(ExchangeOrder order, Deadline end, std::shared_ptr<Gate> gate);
  Task<Attempted> Renew(ExchangeOrder order, Deadline end, std::shared_ptr<Gate> gate);
  /// When a step ends that starts now. Waiting for a turn, or for the server, takes nothing from
  /// the vendor's time.
  Deadline StepEnd(Deadline end) const;
  Task<Attempted> Conclude(ExchangeOrder order, ExchangeOutcome outcome);
  Task<Attempted> ConcludeWithoutSvid(ExchangeOrder order, Error error);
  Task<Result<JwtSvid>> FreshSvid(ExchangeOrder order, Deadline deadline);
  /// For a reason that may pass.
  static Attempted EndForNow(BrokerRefusal refusal);
  static Attempted Unlogged(const Error& error);
  ExchangeResult GiveUp(const ExchangeOrder& order,
                        const ExchangeError& error,
                        std::chrono::milliseconds remember) const;
  std::shared_ptr<Gate> GateOf(const std::string& destination);

  const Clock& clock_;
  FreshJwtSource& jwt_source_;
  AuditSink& audit_;
  Options options_;
  SpentSvids spent_;
  std::map<std::string, std::shared_ptr<Gate>> gates_;
};

/// Whether a failure of this class may pass without anyone changing anything.
bool MayPass(ExchangeFailure failure);

/// The event of a call to a vendor, without its outcome.
AuditEvent ExchangeEvent(const ExchangeOrder& order, std::string action, WallTime now);

}  // namespace credence
