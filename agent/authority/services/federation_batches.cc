#include "agent/authority/services/federation_batches.h"

#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "agent/authority/services/bundle_batches.h"
#include "base/core/log.h"

namespace credence {
namespace {

using authority::v1::FederationRecord;
using spire::api::types::Bundle;
using spire::api::types::FederationRelationship;
using spire::api::types::FederationRelationshipMask;
using Plan = AuthorityState::Plan;

/// The records of foreign trust domains as the items of a batch change them one after the other.
class Records {
 public:
  explicit Records(const AuthorityTables& tables) : tables_(tables) {}

  /// nullptr if there is none.
  const FederationRecord* Find(const std::string& name) const {
    if (const auto changed = changed_.find(name); changed != changed_.end()) {
      return changed->second ? &*changed->second : nullptr;
    }
    const auto found = tables_.federation.find(name);
    return found == tables_.federation.end() ? nullptr : &found->second;
  }
  void Put(FederationRecord record) {
    const std::string name = record.relationship().trust_domain();
    changed_[name] = std::move(record);
  }
  void Erase(const std::string& name) { changed_[name] = std::nullopt; }

  Plan Finish() && {
    Plan plan;
    for (const auto& [name, record] : changed_) {
      plan.changes.push_back(
          {Table::kFederation,
           name,
           record ? std::optional<std::string>(record->SerializeAsString()) : std::nullopt});
    }
    plan.apply = [changed = std::move(changed_)](AuthorityTables& tables) {
      for (const auto& [name, record] : changed) {
        if (record) {
          tables.federation[name] = *record;
        } else {
          tables.federation.erase(name);
        }
      }
    };
    return plan;
  }

 private:
  const AuthorityTables& tables_;
  std::map<std::string, std::optional<FederationRecord>> changed_;
};

bool IsRelationship(const FederationRecord& record) {
  return !record.relationship().bundle_endpoint_url().empty();
}

void Answer(spire::api::types::Status& status, const Result<void>& outcome) {
  status.set_code(static_cast<std::int32_t>(outcome.ok() ? Code::kOk : outcome.error().code()));
  status.set_message(outcome.ok() ? "OK" : outcome.error().message());
}

Error NoRelationship(const std::string& name) {
  return Error(Code::kNotFound, fmt::format("there is no federation with {}", name));
}

/// The fields of `mask` take the place of those of `record`. Errors: kInvalidArgument when that
/// makes no sound relationship.
Result<void> Merge(const FederationRelationship& wanted,
                   const FederationRelationshipMask* mask,
                   const TrustDomain& own,
                   std::int64_t now,
                   FederationRecord& record) {
  FederationRelationship& merged = *record.mutable_relationship();
  if (mask == nullptr || mask->bundle_endpoint_url()) {
    merged.set_bundle_endpoint_url(wanted.bundle_endpoint_url());
  }
  if (mask == nullptr || mask->bundle_endpoint_profile()) {
    merged.clear_bundle_endpoint_profile();
    if (wanted.has_https_web()) {
      merged.mutable_https_web();
    } else if (wanted.has_https_spiffe()) {
      merged.mutable_https_spiffe()->set_endpoint_spiffe_id(
          wanted.https_spiffe().endpoint_spiffe_id());
    }
  }
  if (const auto parsed = ParseFederationRelationship(merged); !parsed.ok()) {
    return parsed.error();
  }
  if (!wanted.has_trust_domain_bundle() || (mask != nullptr && !mask->trust_domain_bundle())) {
    return Ok();
  }
  const Bundle& bundle = wanted.trust_domain_bundle();
  if (bundle.trust_domain() != merged.trust_domain()) {
    return Error(
        Code::kInvalidArgument,
        fmt::format("federation with {}: trust_domain_bundle is of trust domain \"{:.80}\"",
                    merged.trust_domain(),
                    bundle.trust_domain()));
  }
  if (auto good = CheckForeignBundle(bundle, own); !good.ok()) {
    return std::move(good).error().Wrap(
        fmt::format("federation with {}: trust_domain_bundle", merged.trust_domain()));
  }
  *merged.mutable_trust_domain_bundle() = bundle;
  record.set_fetched_at(now);
  return Ok();
}

Result<std::string> ForeignName(std::string_view text, const TrustDomain& own) {
  const auto domain = ParseTrustDomainName(text);
  if (!domain.ok()) {
    return domain.error();
  }
  if (*domain == own) {
    return Error(
        Code::kInvalidArgument,
        fmt::format("{} is the own trust domain: there is no federation with it", own.name()));
  }
  return domain->name();
}

/// Puts one into `records`; returns it as it is then.
Result<FederationRelationship> CreateOne(const FederationRelationship& wanted,
                                         const TrustDomain& own,
                                         std::int64_t now,
                                         Records& records) {
  const auto name = ForeignName(wanted.trust_domain(), own);
  if (!name.ok()) {
    return name.error();
  }
  const FederationRecord* before = records.Find(*name);
  if (before != nullptr && IsRelationship(*before)) {
    return Error(Code::kAlreadyExists, fmt::format("there is a federation with {} already", *name));
  }
  // A bundle that an operator has set stays.
  FederationRecord record = before == nullptr ? FederationRecord() : *before;
  record.mutable_relationship()->set_trust_domain(*name);
  if (auto merged = Merge(wanted, nullptr, own, now, record); !merged.ok()) {
    return std::move(merged).error();
  }
  records.Put(record);
  return record.relationship();
}

Result<FederationRelationship> UpdateOne(const FederationRelationship& wanted,
                                         const FederationRelationshipMask* mask,
                                         const TrustDomain& own,
                                         std::int64_t now,
                                         Records& records) {
  const auto name = ForeignName(wanted.trust_domain(), own);
  if (!name.ok()) {
    return name.error();
  }
  const FederationRecord* before = records.Find(*name);
  if (before == nullptr || !IsRelationship(*before)) {
    return NoRelationship(*name);
  }
  FederationRecord record = *before;
  if (auto merged = Merge(wanted, mask, own, now, record); !merged.ok()) {
    return std::move(merged).error();
  }
  records.Put(record);
  return record.relationship();
}

/// Adds what came of one item to the response.
void AddResult(const Result<FederationRelationship>& outcome,
               const FederationRelationshipMask* output_mask,
               auto& response) {
  auto& result = *response.add_results();
  if (!outcome.ok()) {
    Answer(*result.mutable_status(), outcome.error());
    return;
  }
  Answer(*result.mutable_status(), Ok());
  *result.mutable_federation_relationship() = MaskedRelationship(*outcome, output_mask);
}

Result<void> DeleteOne(const std::string& name, const EntrySet& entries, Records& records) {
  const FederationRecord* before = records.Find(name);
  if (before == nullptr || !IsRelationship(*before)) {
    return NoRelationship(name);
  }
  if (const std::size_t users = CountFederatingWith(entries, name); users > 0) {
    return Error(Code::kFailedPrecondition,
                 fmt::format("{} registration entries federate with {}; change them{}",
                             users,
                             name,
                             before->relationship().has_trust_domain_bundle()
                                 ? ", or delete the bundle first and say what becomes of them"
                                 : ""));
  }
  records.Erase(name);
  return Ok();
}

}  // namespace

AuthorityState::Planner PlanToCreateRelationships(std::shared_ptr<CreateRelationshipsBatch> batch,
                                                  TrustDomain own,
                                                  std::int64_t now) {
  return [batch = std::move(batch), own = std::move(own), now](
             const AuthorityTables& tables) -> Result<Plan> {
    const auto& request = batch->request;
    Records records(tables);
    for (const auto& wanted : request.federation_relationships()) {
      AddResult(CreateOne(wanted, own, now, records),
                request.has_output_mask() ? &request.output_mask() : nullptr,
                batch->response);
    }
    return std::move(records).Finish();
  };
}

AuthorityState::Planner PlanToUpdateRelationships(std::shared_ptr<UpdateRelationshipsBatch> batch,
                                                  TrustDomain own,
                                                  std::int64_t now) {
  return [batch = std::move(batch), own = std::move(own), now](
             const AuthorityTables& tables) -> Result<Plan> {
    const auto& request = batch->request;
    const auto* mask = request.has_input_mask() ? &request.input_mask() : nullptr;
    Records records(tables);
    for (const auto& wanted : request.federation_relationships()) {
      AddResult(UpdateOne(wanted, mask, own, now, records),
                request.has_output_mask() ? &request.output_mask() : nullptr,
                batch->response);
    }
    return std::move(records).Finish();
  };
}

AuthorityState::Planner PlanToDeleteRelationships(std::shared_ptr<DeleteRelationshipsBatch> batch) {
  return [batch = std::move(batch)](const AuthorityTables& tables) -> Result<Plan> {
    Records records(tables);
    for (const std::string& text : batch->request.trust_domains()) {
      auto& result = *batch->response.add_results();
      const auto domain = ParseTrustDomainName(text);
      result.set_trust_domain(domain.ok() ? domain->name() : text);
      Answer(*result.mutable_status(),
             domain.ok() ? DeleteOne(domain->name(), tables.entries, records)
                         : Result<void>(domain.error()));
    }
    return std::move(records).Finish();
  };
}

AuthorityState::Planner PlanToKeepBundle(ForeignBundleEndpoint endpoint,
                                         Bundle bundle,
                                         std::int64_t now) {
  return [endpoint = std::move(endpoint), bundle = std::move(bundle), now](
             const AuthorityTables& tables) -> Result<Plan> {
    const std::string& name = bundle.trust_domain();
    const auto found = tables.federation.find(name);
    if (found == tables.federation.end() || !IsRelationship(found->second)) {
      return Error(Code::kAborted, fmt::format("the federation with {} has ended meanwhile", name));
    }
    const FederationRelationship& relationship = found->second.relationship();
    const auto current = ParseFederationRelationship(relationship);
    if (!current.ok() || *current != endpoint) {
      return Error(Code::kAborted,
                   fmt::format("the bundle endpoint of {} was changed meanwhile", name));
    }
    const Bundle* held =
        relationship.has_trust_domain_bundle() ? &relationship.trust_domain_bundle() : nullptr;
    if (JudgeBundle(held, bundle) != BundleVerdict::kNewer) {
      return Plan{};
    }
    FederationRecord record = found->second;
    *record.mutable_relationship()->mutable_trust_domain_bundle() = bundle;
    record.set_fetched_at(now);
    Records records(tables);
    records.Put(std::move(record));
    return std::move(records).Finish();
  };
}

const FederationRelationship* FindRelationship(const AuthorityTables& tables,
                                               std::string_view name) {
  const auto found = tables.federation.find(name);
  return found == tables.federation.end() || !IsRelationship(found->second)
             ? nullptr
             : &found->second.relationship();
}

std::vector<ForeignBundleEndpoint> ForeignBundleEndpoints(const AuthorityTables& tables) {
  std::vector<ForeignBundleEndpoint> endpoints;
  for (const auto& [name, record] : tables.federation) {
    if (!IsRelationship(record)) {
      continue;
    }
    auto endpoint = ParseFederationRelationship(record.relationship());
    if (endpoint.ok()) {
      endpoints.push_back(*std::move(endpoint));
    } else {
      // Stored by a version that took it.
      LogWarn("Federation relationship is not followed", {{"error", endpoint.error()}});
    }
  }
  return endpoints;
}

Result<TrustDomain> ParseTrustDomainName(std::string_view text) {
  constexpr std::string_view kScheme = "spiffe://";
  if (text.starts_with(kScheme)) {
    text.remove_prefix(kScheme.size());
  }
  auto domain = TrustDomain::Parse(text);
  return domain.ok() ? domain : Result<TrustDomain>(std::move(domain).error().Wrap("trust_domain"));
}

FederationRelationship MaskedRelationship(const FederationRelationship& relationship,
                                          const FederationRelationshipMask* mask) {
  if (mask == nullptr) {
    return relationship;
  }
  FederationRelationship masked = relationship;
  if (!mask->bundle_endpoint_url()) {
    masked.clear_bundle_endpoint_url();
  }
  if (!mask->bundle_endpoint_profile()) {
    masked.clear_bundle_endpoint_profile();
  }
  if (!mask->trust_domain_bundle()) {
    masked.clear_trust_domain_bundle();
  }
  return masked;
}

}  // namespace credence
