#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config/resources.h"
#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/process/caller.h"
#include "base/spiffe/selector.h"
#include "base/spiffe/spiffe_id.h"
#include "plugins/contract/destination_adapter.h"

namespace credence {

/// An identity that the server gives to the caller: the entry's SPIFFE ID and the entry.
struct HeldIdentity {
  SpiffeId id;
  std::string entry_id;
};

/// Who asks for what. Everything in it was verified, except what the caller asks for.
struct PolicyQuery {
  /// In the order in which the Workload API serves them.
  std::vector<HeldIdentity> identities;
  SelectorSet selectors;
  Assurance assurance = Assurance::kOpenedByPid;
  uid_t uid = 0;
  std::string destination;
  /// Ask for this identity only.
  std::optional<SpiffeId> spiffe_id;
  Settings parameters;
};

/// What a decision needs to know beside the query.
struct PolicyContext {
  WallTime now;
  /// SPIFFE ID of this agent, for the commands in refusals; "" while it has none.
  std::string agent_id;
  /// The server is a trust authority of Credence, which operators ask by `credence`.
  bool own_authority = false;
};

/// Why a request was refused, and what would make it succeed.
struct PolicyRefusal {
  Code code = Code::kPermissionDenied;
  /// The grant that came nearest; "" if none did.
  std::string grant;
  /// Which fact differed.
  std::string reason;
  /// A command or a change of YAML, for the operator to judge.
  std::string fix;
  /// `reason` and `fix` with the values of selectors hidden, for the audit log.
  std::string audit_reason;
  std::string audit_fix;
};

/// One that hides nothing from the audit log.
PolicyRefusal PlainRefusal(Code code, std::string reason, std::string fix);

/// A grant that fits. The pointers are into the Resources it was decided on.
struct Allowance {
  const GrantResource* grant = nullptr;
  const DestinationResource* destination = nullptr;
  HeldIdentity identity;
  /// The shorter of what grant and destination allow.
  std::optional<std::chrono::milliseconds> max_ttl;
};

struct Decision {
  /// nullopt: refused.
  std::optional<Allowance> allowed;
  PolicyRefusal refusal;
};

/// May the caller have a credential of this destination? The first identity that some grant fits
/// wins, then the first such grant by name. Nothing is allowed that no grant allows.
Decision Decide(const Resources& resources, const PolicyQuery& query, const PolicyContext& context);

/// Every destination that Decide would allow without parameters, by name; the query's destination
/// is ignored.
std::vector<Allowance> ListAllowed(const Resources& resources,
                                   const PolicyQuery& query,
                                   const PolicyContext& context);

/// What is left of the grants by which a credential was got.
enum class Standing {
  /// An unexpired grant gives the destination to the identity, with the same limit.
  kGranted,
  /// With another limit only.
  kOtherLimit,
  /// No unexpired grant does, or there is no such destination.
  kNone,
};

/// What can be checked without a caller, before a refresh and after a reload.
Standing StandingOf(const Resources& resources,
                    std::string_view spiffe_id,
                    std::string_view destination,
                    std::optional<std::chrono::milliseconds> max_ttl,
                    WallTime now);

/// The selector with its value hidden, such as "unix:uid:#1f2e3d4c5b6a": type and kind stay, equal
/// values stay equal. It hides values from readers of a log, not from someone who guesses them and
/// compares.
Selector RedactSelector(const Selector& selector);

}  // namespace credence
