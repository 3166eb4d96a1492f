#include "agent/cli/check/destination_check.h"

#include <array>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "agent/cli/check/svid_checks.h"
#include "agent/cli/check/vendor_checks.h"

namespace credence {
namespace {

using Facts = credential::v1::CheckDestinationResponse;

constexpr std::array<const char*, 12> kChecks = {"agent",
                                                 "resource",
                                                 "identity",
                                                 "grant",
                                                 "svid",
                                                 "algorithm",
                                                 "lifetime",
                                                 "issuer",
                                                 "host",
                                                 "connection",
                                                 "tls",
                                                 "clock"};

/// All that come after the last finding depend on it.
void SkipRest(std::vector<Finding>& findings) {
  const std::string cause = findings.back().check;
  bool after = false;
  for (const char* check : kChecks) {
    if (after) {
      findings.push_back(Skipped(check, fmt::format("needs \"{}\"", cause)));
    }
    after = after || cause == check;
  }
  findings.push_back(Skipped("exchange", fmt::format("needs \"{}\"", cause)));
}

std::string FixOf(const RefusedCall& refused) {
  return refused.fix.empty() ? "see `credence status`" : refused.fix;
}

/// The agent answers and knows its entries.
Finding CheckAgent(const CallOutcome<credential::v1::GetStatusResponse>& status) {
  if (!status.reply) {
    return Failed("agent", status.refused.error.message(), FixOf(status.refused));
  }
  if (status.reply->last_sync_at() == 0) {
    return Failed("agent",
                  fmt::format("it has not had its entries from the server yet: {}",
                              status.reply->sync_error()),
                  "make the server reachable, or attest the node; see `credence status`");
  }
  return Passed(
      "agent",
      fmt::format("{} of trust domain {}", status.reply->version(), status.reply->trust_domain()));
}

Finding CheckResource(const Facts& facts,
                      const credential::v1::GetStatusResponse& status,
                      const std::string& destination) {
  constexpr const char* kMend =
      "correct the resource files; `credence check -config FILE` shows all mistakes";
  if (status.resource_errors_size() > 0) {
    return Failed("resource",
                  fmt::format("the resource files have mistakes, {}: {}",
                              facts.found() ? "and the last good ones are in force"
                                            : "and the last good ones have no such destination",
                              fmt::join(status.resource_errors(), "; ")),
                  kMend);
  }
  if (!facts.found()) {
    return Failed("resource",
                  fmt::format("the agent has no destination \"{}\"", destination),
                  "write one with `credence setup ADAPTER -name " + destination +
                      "`, into the folder that the agent reads");
  }
  return Passed("resource",
                facts.origin().empty() ? destination
                                       : fmt::format("{} ({})", facts.origin(), facts.adapter()));
}

/// The identity and the grant; the last finding is a failure if there is one.
void CheckPolicy(const Facts& facts, std::vector<Finding>& findings) {
  if (facts.spiffe_ids().empty()) {
    findings.push_back(Failed("identity", facts.refusal().fact(), facts.refusal().fix()));
    return;
  }
  findings.push_back(Passed("identity", fmt::format("{}", fmt::join(facts.spiffe_ids(), ", "))));
  if (facts.has_refusal()) {
    findings.push_back(Failed("grant", facts.refusal().fact(), facts.refusal().fix()));
    return;
  }
  findings.push_back(Passed(
      "grant",
      fmt::format("{} gives it to {}{}",
                  facts.grant(),
                  facts.spiffe_id(),
                  facts.grant_expires_at() == 0
                      ? ""
                      : " until " + FormatRfc3339(FromUnixSeconds(facts.grant_expires_at())))));
}

Finding CheckExchange(const AgentClient& agent,
                      const DestinationCheckOptions& options,
                      const Clock& clock) {
  credential::v1::GetCredentialRequest request;
  request.set_destination(options.destination);
  request.set_spiffe_id(options.spiffe_id);
  // More than any has: a fresh one, unless that of the agent's cache is new or the vendor is away.
  constexpr std::int64_t kYear = 365 * 24 * 3600;
  request.set_min_ttl_seconds(kYear);
  const std::int64_t asked_at = ToUnixSeconds(clock.Now());
  const auto outcome = agent.GetCredential(request);
  if (!outcome.reply) {
    const RefusedCall& refused = outcome.refused;
    return Failed("exchange",
                  refused.error.message(),
                  refused.fix.empty()
                      ? "compare what the vendor has with `credence setup`; decision " +
                            (refused.decision_id.empty() ? "none" : refused.decision_id) +
                            " in the audit log, and the vendor's own log, say more"
                      : refused.fix);
  }
  const std::int64_t issued_at = outcome.reply->issued_at();
  return Passed("exchange",
                fmt::format("a credential until {}{}{}",
                            FormatRfc3339(FromUnixSeconds(outcome.reply->expires_at())),
                            issued_at == 0 || issued_at >= asked_at
                                ? ""
                                : fmt::format(", which the agent has since {}: it got no newer one",
                                              FormatRfc3339(FromUnixSeconds(issued_at))),
                            outcome.reply->request_id().empty()
                                ? ""
                                : ", vendor's request " + outcome.reply->request_id()));
}

void CheckSvid(const AgentClient& agent,
               const Facts& facts,
               const DestinationCheckOptions& options,
               std::vector<Finding>& findings) {
  const std::vector<std::string> audience(facts.audience().begin(), facts.audience().end());
  const auto svid = agent.FetchJwtSvid(facts.spiffe_id(), audience);
  if (!svid.reply) {
    findings.push_back(Failed("svid", svid.refused.error.message(), FixOf(svid.refused)));
    return;
  }
  findings.push_back(
      Passed("svid", fmt::format("a JWT-SVID for {}", fmt::join(svid.reply->audience, ", "))));
  for (Finding& finding : CheckSvidForm(*svid.reply, facts)) {
    findings.push_back(std::move(finding));
  }
  findings.push_back(CheckIssuer(*svid.reply, facts.issuer_required(), options.timeout));
}

}  // namespace

std::vector<Finding> CheckDestination(const AgentClient& agent,
                                      const DestinationCheckOptions& options,
                                      const Clock& clock) {
  std::vector<Finding> findings;
  const auto stopped = [&findings] { return findings.back().verdict == Verdict::kFailed; };
  const auto status = agent.GetStatus();
  findings.push_back(CheckAgent(status));
  if (stopped()) {
    SkipRest(findings);
    return findings;
  }
  credential::v1::CheckDestinationRequest request;
  request.set_destination(options.destination);
  request.set_spiffe_id(options.spiffe_id);
  const auto facts = agent.CheckDestination(request);
  if (!facts.reply) {
    findings.push_back(Failed("resource", facts.refused.error.message(), FixOf(facts.refused)));
    SkipRest(findings);
    return findings;
  }
  findings.push_back(CheckResource(*facts.reply, *status.reply, options.destination));
  if (!facts.reply->found()) {
    SkipRest(findings);
    return findings;
  }
  CheckPolicy(*facts.reply, findings);
  if (stopped()) {
    SkipRest(findings);
    return findings;
  }
  CheckSvid(agent, *facts.reply, options, findings);
  if (stopped() && findings.back().check == "svid") {
    for (const char* check : {"algorithm", "lifetime", "issuer"}) {
      findings.push_back(Skipped(check, "needs \"svid\""));
    }
  }
  for (Finding& finding :
       CheckVendor(facts.reply->url(), facts.reply->ca_file(), clock, options.timeout)) {
    findings.push_back(std::move(finding));
  }
  findings.push_back(options.exchange ? CheckExchange(agent, options, clock)
                                      : Skipped("exchange", "left out by -exchange=false"));
  return findings;
}

}  // namespace credence
