#include "agent/exchange/policy.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/crypto/digest.h"

namespace credence {
namespace {

/// Callers see their own facts; the audit log does not show what selectors say.
enum class Show { kPlain, kRedacted };

/// What a grant wants and the caller does not have.
struct Mismatch {
  const GrantResource* grant = nullptr;
  std::vector<Selector> missing;
  bool assurance = false;
  bool expired = false;

  std::size_t size() const { return missing.size() + (assurance ? 1 : 0) + (expired ? 1 : 0); }
};

/// Text from outside, quoted, cut and without control characters.
std::string Quoted(std::string_view text) {
  constexpr std::size_t kMaxShown = 100;
  std::string quoted = "\"";
  for (const char c : text.substr(0, kMaxShown)) {
    const bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
    quoted += plain ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return quoted + (text.size() > kMaxShown ? "...\"" : "\"");
}

std::string Text(const Selector& selector, Show show) {
  return show == Show::kPlain ? selector.ToString() : RedactSelector(selector).ToString();
}

std::string Texts(const std::vector<Selector>& selectors, Show show) {
  std::vector<std::string> texts;
  for (const Selector& selector : selectors) {
    texts.push_back(Text(selector, show));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

std::string Place(const GrantResource& grant) {
  return fmt::format("grant {} ({}:{})", grant.name, grant.origin.file, grant.origin.line);
}

/// The kind of a selector: the part of its value before the first colon, "" if there is none.
std::string_view Kind(const Selector& selector) {
  const std::string_view value = selector.value;
  const std::size_t colon = value.find(':');
  return colon == std::string_view::npos ? std::string_view() : value.substr(0, colon);
}

std::string_view BeforeLastColon(std::string_view value) {
  const std::size_t colon = value.rfind(':');
  return colon == std::string_view::npos ? std::string_view() : value.substr(0, colon);
}

/// What the caller has in the place of `wanted`: the same up to the last colon
/// (k8s:pod-label:app:...), else the same kind (unix:uid:...).
std::vector<Selector> Counterparts(const Selector& wanted, const SelectorSet& held) {
  std::vector<Selector> same_stem;
  std::vector<Selector> same_kind;
  for (const Selector& selector : held.items()) {
    if (selector.type != wanted.type || Kind(selector) != Kind(wanted)) {
      continue;
    }
    same_kind.push_back(selector);
    if (BeforeLastColon(selector.value) == BeforeLastColon(wanted.value)) {
      same_stem.push_back(selector);
    }
  }
  return same_stem.empty() ? same_kind : same_stem;
}

std::string DescribeMissing(const Selector& wanted, const SelectorSet& held, Show show) {
  const std::vector<Selector> counterparts = Counterparts(wanted, held);
  const std::string have =
      counterparts.empty()
          ? fmt::format("no {} selector", wanted.type + ":" + std::string(Kind(wanted)))
          : Texts(counterparts, show);
  return fmt::format("it wants {} while this process has {}", Text(wanted, show), have);
}

Mismatch Compare(const GrantResource& grant, const PolicyQuery& query, WallTime now) {
  return Mismatch{.grant = &grant,
                  .missing = query.selectors.Missing(grant.selectors),
                  .assurance = query.assurance < grant.assurance,
                  .expired = grant.expires && *grant.expires <= now};
}

std::string MismatchReason(const Mismatch& mismatch, const PolicyQuery& query, Show show) {
  const GrantResource& grant = *mismatch.grant;
  std::vector<std::string> facts;
  for (const Selector& wanted : mismatch.missing) {
    facts.push_back(DescribeMissing(wanted, query.selectors, show));
  }
  if (mismatch.assurance) {
    facts.push_back(fmt::format("it wants assurance {} while this process has {}",
                                AssuranceName(grant.assurance),
                                AssuranceName(query.assurance)));
  }
  if (mismatch.expired) {
    facts.push_back(fmt::format("it expired on {}", FormatRfc3339(*grant.expires)));
  }
  return fmt::format("grant {} does not fit: {}", grant.name, fmt::join(facts, "; "));
}

std::string MismatchFix(const Mismatch& mismatch, Show show) {
  const std::string place = Place(*mismatch.grant);
  if (!mismatch.missing.empty()) {
    return fmt::format("run the workload so that it has {}, or change spec.subject.selectors of {}",
                       Texts(mismatch.missing, show),
                       place);
  }
  if (mismatch.assurance) {
    return fmt::format("run a Linux kernel from 6.5 on, or change spec.subject.assurance of {}",
                       place);
  }
  return fmt::format("set a later metadata.expires in {}", place);
}

/// The grant that comes nearest for someone who has no identity: one whose facts fit, else the
/// first.
const GrantResource* SuggestGrant(const Resources& resources,
                                  const PolicyQuery& query,
                                  WallTime now) {
  const GrantResource* suggestion = nullptr;
  std::size_t least = 0;
  for (const GrantResource& grant : resources.grants) {
    if (grant.destination != query.destination) {
      continue;
    }
    const std::size_t differences = Compare(grant, query, now).size();
    if (suggestion == nullptr || differences < least) {
      suggestion = &grant;
      least = differences;
    }
  }
  return suggestion;
}

PolicyRefusal RefuseWithoutIdentity(const Resources& resources,
                                    const PolicyQuery& query,
                                    const PolicyContext& context) {
  const GrantResource* grant = SuggestGrant(resources, query, context.now);
  const Selector selector{"unix", fmt::format("uid:{}", query.uid)};
  const auto fix = [&](Show show) {
    return fmt::format("{} -spiffeID {} -selector {}",
                       context.own_authority
                           ? "credence entry create"
                           : "spire-server entry create -parentID " +
                                 (context.agent_id.empty() ? "AGENT_SPIFFE_ID" : context.agent_id),
                       grant != nullptr ? grant->spiffe_id.text() : "WORKLOAD_SPIFFE_ID",
                       Text(selector, show));
  };
  PolicyRefusal refusal =
      PlainRefusal(Code::kPermissionDenied,
                   fmt::format("no registration entry fits this process (uid {})", query.uid),
                   fix(Show::kPlain));
  refusal.audit_fix = fix(Show::kRedacted);
  refusal.grant = grant != nullptr ? grant->name : "";
  return refusal;
}

std::string IdsOf(const std::vector<HeldIdentity>& identities) {
  constexpr std::size_t kMaxShown = 5;
  std::vector<std::string_view> ids;
  for (const HeldIdentity& identity : identities) {
    if (ids.size() == kMaxShown) {
      ids.emplace_back("...");
      break;
    }
    ids.push_back(identity.id.text());
  }
  return fmt::format("{}", fmt::join(ids, ", "));
}

PolicyRefusal RefuseOtherIdentity(const PolicyQuery& query) {
  return PlainRefusal(
      Code::kPermissionDenied,
      fmt::format(
          "this process is not {}; it is {}", query.spiffe_id->text(), IdsOf(query.identities)),
      "ask without spiffe_id, or for an identity that the process has");
}

PolicyRefusal RefuseWithoutGrant(const PolicyQuery& query,
                                 const std::vector<const HeldIdentity*>& candidates) {
  const std::string& id = candidates.front()->id.text();
  const std::string others =
      candidates.size() > 1 ? fmt::format(" nor its {} other identities", candidates.size() - 1)
                            : "";
  return PlainRefusal(
      Code::kPermissionDenied,
      fmt::format("no grant gives {} to {}{}", Quoted(query.destination), id, others),
      fmt::format("add a Grant with spec.subject.spiffe_id: {} and spec.destination: {}",
                  id,
                  query.destination));
}

/// nullopt if the destination's adapter takes all of them.
std::optional<PolicyRefusal> CheckParameters(const DestinationResource& destination,
                                             const Settings& parameters) {
  if (parameters.empty()) {
    return std::nullopt;
  }
  const std::vector<std::string>& known = destination.target->parameters();
  for (const auto& parameter : parameters) {
    if (std::find(known.begin(), known.end(), parameter.first) == known.end()) {
      const std::string takes = known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", "));
      return PlainRefusal(
          Code::kInvalidArgument,
          fmt::format(
              "destination {} takes no parameter {}", destination.name, Quoted(parameter.first)),
          fmt::format(
              "leave the parameter out; destination {} takes: {}", destination.name, takes));
    }
  }
  return std::nullopt;
}

std::optional<std::chrono::milliseconds> Shorter(std::optional<std::chrono::milliseconds> a,
                                                 std::optional<std::chrono::milliseconds> b) {
  if (a && b) {
    return std::min(*a, *b);
  }
  return a ? a : b;
}

std::vector<const HeldIdentity*> Candidates(const PolicyQuery& query) {
  std::vector<const HeldIdentity*> candidates;
  for (const HeldIdentity& identity : query.identities) {
    if (!query.spiffe_id || identity.id == *query.spiffe_id) {
      candidates.push_back(&identity);
    }
  }
  return candidates;
}

/// Allows, or refuses with the grant that comes nearest.
Decision DecideForIdentities(const Resources& resources,
                             const DestinationResource& destination,
                             const PolicyQuery& query,
                             const std::vector<const HeldIdentity*>& candidates,
                             WallTime now) {
  std::optional<Mismatch> nearest;
  for (const HeldIdentity* identity : candidates) {
    for (const GrantResource& grant : resources.grants) {
      if (grant.destination != destination.name || grant.spiffe_id != identity->id) {
        continue;
      }
      Mismatch mismatch = Compare(grant, query, now);
      if (mismatch.size() == 0) {
        return Decision{.allowed =
                            Allowance{.grant = &grant,
                                      .destination = &destination,
                                      .identity = *identity,
                                      .max_ttl = Shorter(grant.max_ttl, destination.max_ttl)}};
      }
      if (!nearest || mismatch.size() < nearest->size()) {
        nearest = std::move(mismatch);
      }
    }
  }
  if (!nearest) {
    return Decision{.refusal = RefuseWithoutGrant(query, candidates)};
  }
  return Decision{.refusal = {.code = Code::kPermissionDenied,
                              .grant = nearest->grant->name,
                              .reason = MismatchReason(*nearest, query, Show::kPlain),
                              .fix = MismatchFix(*nearest, Show::kPlain),
                              .audit_reason = MismatchReason(*nearest, query, Show::kRedacted),
                              .audit_fix = MismatchFix(*nearest, Show::kRedacted)}};
}

}  // namespace

PolicyRefusal PlainRefusal(Code code, std::string reason, std::string fix) {
  return PolicyRefusal{.code = code,
                       .grant = "",
                       .reason = reason,
                       .fix = fix,
                       .audit_reason = reason,
                       .audit_fix = fix};
}

Decision Decide(const Resources& resources,
                const PolicyQuery& query,
                const PolicyContext& context) {
  const DestinationResource* destination = resources.FindDestination(query.destination);
  if (destination == nullptr) {
    return Decision{.refusal = PlainRefusal(
                        Code::kNotFound,
                        fmt::format("there is no destination {}", Quoted(query.destination)),
                        "credence list shows the destinations that this process may use")};
  }
  if (query.identities.empty()) {
    return Decision{.refusal = RefuseWithoutIdentity(resources, query, context)};
  }
  const auto candidates = Candidates(query);
  if (candidates.empty()) {
    return Decision{.refusal = RefuseOtherIdentity(query)};
  }
  Decision decision = DecideForIdentities(resources, *destination, query, candidates, context.now);
  if (decision.allowed) {
    if (auto refusal = CheckParameters(*destination, query.parameters)) {
      refusal->grant = decision.allowed->grant->name;
      return Decision{.refusal = *std::move(refusal)};
    }
  }
  return decision;
}

std::vector<Allowance> ListAllowed(const Resources& resources,
                                   const PolicyQuery& query,
                                   const PolicyContext& context) {
  std::vector<Allowance> allowed;
  const auto candidates = Candidates(query);
  if (candidates.empty()) {
    return allowed;
  }
  for (const DestinationResource& destination : resources.destinations) {
    Decision decision = DecideForIdentities(resources, destination, query, candidates, context.now);
    if (decision.allowed) {
      allowed.push_back(*std::move(decision.allowed));
    }
  }
  return allowed;
}

Standing StandingOf(const Resources& resources,
                    std::string_view spiffe_id,
                    std::string_view destination,
                    std::optional<std::chrono::milliseconds> max_ttl,
                    WallTime now) {
  const DestinationResource* const found = resources.FindDestination(destination);
  if (found == nullptr) {
    return Standing::kNone;
  }
  Standing standing = Standing::kNone;
  for (const GrantResource& grant : resources.grants) {
    const bool live = grant.destination == destination && grant.spiffe_id.text() == spiffe_id &&
                      (!grant.expires || *grant.expires > now);
    if (live && Shorter(grant.max_ttl, found->max_ttl) == max_ttl) {
      return Standing::kGranted;
    }
    if (live) {
      standing = Standing::kOtherLimit;
    }
  }
  return standing;
}

Selector RedactSelector(const Selector& selector) {
  constexpr std::size_t kHexDigits = 12;
  const std::string digest = Hex(Sha256(selector.ToString())).substr(0, kHexDigits);
  const std::string_view kind = Kind(selector);
  return Selector{selector.type, kind.empty() ? "#" + digest : fmt::format("{}:#{}", kind, digest)};
}

}  // namespace credence
