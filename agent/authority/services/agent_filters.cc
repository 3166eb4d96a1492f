#include "agent/authority/services/agent_filters.h"

#include <optional>
#include <string>

#include <stdio.h>
#include <time.h>

#include "agent/authority/services/entry_set.h"
#include "agent/authority/services/matching.h"

namespace credence {
namespace {

using authority::v1::AgentRecord;
using spire::api::server::agent::v1::CountAgentsRequest;
using spire::api::server::agent::v1::ListAgentsRequest;

/// "2006-01-02 15:04:05 -0700 -07", as Go writes it. nullopt for another text.
std::optional<std::int64_t> TimeOfGoText(const std::string& text) {
  tm broken_down{};
  const char* rest = strptime(text.c_str(), "%Y-%m-%d %H:%M:%S %z", &broken_down);
  if (rest == nullptr) {
    return std::nullopt;
  }
  const long offset = broken_down.tm_gmtoff;
  return static_cast<std::int64_t>(timegm(&broken_down)) - offset;
}

}  // namespace

spire::api::types::Agent AgentFromRecord(const AgentRecord& record,
                                         const spire::api::types::AgentMask* mask) {
  spire::api::types::Agent agent;
  if (const auto id = SpiffeId::Parse(record.id()); id.ok()) {
    *agent.mutable_id() = IdInParts(*id);
  }
  if (mask == nullptr || mask->attestation_type()) {
    agent.set_attestation_type(record.attestation_type());
  }
  if (mask == nullptr || mask->x509svid_serial_number()) {
    agent.set_x509svid_serial_number(record.serial());
  }
  if (mask == nullptr || mask->x509svid_expires_at()) {
    agent.set_x509svid_expires_at(record.not_after());
  }
  if (mask == nullptr || mask->selectors()) {
    *agent.mutable_selectors() = record.selectors();
  }
  if (mask == nullptr || mask->banned()) {
    agent.set_banned(record.banned());
  }
  if (mask == nullptr || mask->can_reattest()) {
    agent.set_can_reattest(record.can_reattest());
  }
  if (mask == nullptr || mask->agent_version()) {
    agent.set_agent_version(record.agent_version());
  }
  return agent;
}

bool PassesFilter(const AgentRecord& record, const ListAgentsRequest::Filter& filter) {
  if (!filter.by_attestation_type().empty() &&
      filter.by_attestation_type() != record.attestation_type()) {
    return false;
  }
  if (filter.has_by_selector_match() && !Fits(SelectorTexts(record.selectors()),
                                              SelectorTexts(filter.by_selector_match().selectors()),
                                              filter.by_selector_match().match())) {
    return false;
  }
  if (filter.has_by_banned() && filter.by_banned().value() != record.banned()) {
    return false;
  }
  if (filter.has_by_can_reattest() && filter.by_can_reattest().value() != record.can_reattest()) {
    return false;
  }
  // A text that is no time is passed over, as spire-server does.
  const auto before = TimeOfGoText(filter.by_expires_before());
  return !before || record.not_after() < *before;
}

ListAgentsRequest::Filter ListFilter(const CountAgentsRequest::Filter& filter) {
  ListAgentsRequest::Filter same;
  same.set_by_attestation_type(filter.by_attestation_type());
  if (filter.has_by_selector_match()) {
    *same.mutable_by_selector_match() = filter.by_selector_match();
  }
  if (filter.has_by_banned()) {
    *same.mutable_by_banned() = filter.by_banned();
  }
  if (filter.has_by_can_reattest()) {
    *same.mutable_by_can_reattest() = filter.by_can_reattest();
  }
  same.set_by_expires_before(filter.by_expires_before());
  return same;
}

}  // namespace credence
