#include "agent/authority/services/bundle_batches.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "agent/authority/keys/issuer.h"
#include "base/crypto/certificate.h"

namespace credence {
namespace {

using authority::v1::FederationRecord;
using spire::api::types::Bundle;
using spire::api::types::Entry;
using Plan = AuthorityState::Plan;
using Mode = spire::api::server::bundle::v1::BatchDeleteFederatedBundleRequest;

constexpr int kMaxAuthorities = 1024;

void Set(spire::api::types::Status& status, Code code, const std::string& message) {
  status.set_code(static_cast<std::int32_t>(code));
  status.set_message(message);
}

bool FederatesWith(const Entry& entry, const std::string& name) {
  const auto& names = entry.federates_with();
  return std::find(names.begin(), names.end(), name) != names.end();
}

StoredEntry Without(const Entry& entry, const std::string& name) {
  auto changed = std::make_shared<Entry>(entry);
  changed->clear_federates_with();
  for (const std::string& kept : entry.federates_with()) {
    if (kept != name) {
      changed->add_federates_with(kept);
    }
  }
  changed->set_revision_number(entry.revision_number() + 1);
  return changed;
}

/// nullopt if nothing is left: no relationship gives the trust domain a bundle endpoint.
std::optional<FederationRecord> WithoutBundle(FederationRecord record) {
  if (record.relationship().bundle_endpoint_url().empty()) {
    return std::nullopt;
  }
  record.mutable_relationship()->clear_trust_domain_bundle();
  record.clear_fetched_at();
  return record;
}

/// Bundles that go, and what becomes of the entries that federate with them.
class BundleRemoval {
 public:
  BundleRemoval(const AuthorityTables& tables, Mode::Mode mode) : tables_(tables), mode_(mode) {}

  /// Errors: kNotFound; kFailedPrecondition when entries keep it from going.
  Result<void> Remove(const std::string& name) {
    const auto found = tables_.federation.find(name);
    if (found == tables_.federation.end() ||
        !found->second.relationship().has_trust_domain_bundle()) {
      return Error(Code::kNotFound, "the bundle of that trust domain is not known");
    }
    const std::vector<StoredEntry> users = UsersOf(name);
    if (!users.empty() && mode_ == Mode::RESTRICT) {
      return Error(Code::kFailedPrecondition,
                   fmt::format("{} registration entries federate with {}", users.size(), name));
    }
    for (const StoredEntry& entry : users) {
      if (const auto file = tables_.file_entries.find(entry->id());
          file != tables_.file_entries.end()) {
        return Error(Code::kFailedPrecondition,
                     fmt::format("entry {} in {} federates with {}: change it there first",
                                 entry->id(),
                                 file->second,
                                 name));
      }
    }
    for (const StoredEntry& entry : users) {
      touched_[entry->id()] = mode_ == Mode::DELETE ? nullptr : Without(*entry, name);
    }
    records_[name] = WithoutBundle(found->second);
    return Ok();
  }

  Plan TakePlan() {
    Plan plan;
    for (const auto& [name, record] : records_) {
      plan.changes.push_back(
          {Table::kFederation,
           name,
           record ? std::optional<std::string>(record->SerializeAsString()) : std::nullopt});
    }
    for (const auto& [id, entry] : touched_) {
      plan.changes.push_back(
          {Table::kEntries,
           id,
           entry ? std::optional<std::string>(entry->SerializeAsString()) : std::nullopt});
    }
    plan.apply = [records = records_, touched = touched_](AuthorityTables& changed) {
      for (const auto& [name, record] : records) {
        if (record) {
          changed.federation[name] = *record;
        } else {
          changed.federation.erase(name);
        }
      }
      for (const auto& [id, entry] : touched) {
        if (entry) {
          changed.entries.Put(entry);
        } else {
          changed.entries.Erase(id);
        }
      }
    };
    return plan;
  }

 private:
  std::vector<StoredEntry> UsersOf(const std::string& name) const {
    std::vector<StoredEntry> users;
    for (const auto& [id, stored] : tables_.entries.all()) {
      const auto again = touched_.find(id);
      const StoredEntry& entry = again == touched_.end() ? stored : again->second;
      if (entry && FederatesWith(*entry, name)) {
        users.push_back(entry);
      }
    }
    return users;
  }

  const AuthorityTables& tables_;
  Mode::Mode mode_;
  /// As they are without their bundles; nullopt for those that go.
  std::map<std::string, std::optional<FederationRecord>> records_;
  /// Entries as they are afterwards; null for those that go.
  std::map<std::string, StoredEntry> touched_;
};

}  // namespace

Result<void> CheckForeignBundle(const Bundle& bundle, const TrustDomain& own) {
  const auto domain = TrustDomain::Parse(bundle.trust_domain());
  if (!domain.ok()) {
    return Error(domain.error()).Wrap("trust_domain");
  }
  if (*domain == own) {
    return Error(Code::kInvalidArgument,
                 fmt::format("{} is the own trust domain: its bundle is what this authority makes",
                             own.name()));
  }
  if (bundle.x509_authorities_size() + bundle.jwt_authorities_size() > kMaxAuthorities) {
    return Error(Code::kInvalidArgument, fmt::format("at most {} authorities", kMaxAuthorities));
  }
  for (const auto& authority : bundle.x509_authorities()) {
    if (auto parsed = ParseCertificate(authority.asn1()); !parsed.ok()) {
      return std::move(parsed).error().Wrap("x509_authorities");
    }
  }
  for (const auto& key : bundle.jwt_authorities()) {
    if (key.key_id().empty()) {
      return Error(Code::kInvalidArgument, "jwt_authorities: a key has no key_id");
    }
    if (auto parsed = ParsePublicKey(key.public_key()); !parsed.ok()) {
      return std::move(parsed).error().Wrap("jwt_authorities");
    }
  }
  return Ok();
}

std::size_t CountFederatingWith(const EntrySet& entries, const std::string& name) {
  return static_cast<std::size_t>(
      std::count_if(entries.all().begin(), entries.all().end(), [&name](const auto& stored) {
        return FederatesWith(*stored.second, name);
      }));
}

Bundle MaskedBundle(const Bundle& bundle, const spire::api::types::BundleMask* mask) {
  if (mask == nullptr) {
    return bundle;
  }
  Bundle masked = bundle;
  if (!mask->x509_authorities()) {
    masked.clear_x509_authorities();
  }
  if (!mask->jwt_authorities()) {
    masked.clear_jwt_authorities();
  }
  if (!mask->refresh_hint()) {
    masked.clear_refresh_hint();
  }
  if (!mask->sequence_number()) {
    masked.clear_sequence_number();
  }
  return masked;
}

AuthorityState::Planner PlanToSetBundles(std::shared_ptr<SetBundlesBatch> batch,
                                         TrustDomain own,
                                         std::int64_t now) {
  return [batch = std::move(batch), own = std::move(own), now](
             const AuthorityTables& tables) -> Result<Plan> {
    const auto& request = batch->request;
    const auto* mask = request.has_output_mask() ? &request.output_mask() : nullptr;
    Plan plan;
    std::vector<FederationRecord> records;
    for (const Bundle& bundle : request.bundle()) {
      auto& result = *batch->response.add_results();
      if (const auto good = CheckForeignBundle(bundle, own); !good.ok()) {
        Set(*result.mutable_status(), good.error().code(), good.error().message());
        continue;
      }
      const auto before = tables.federation.find(bundle.trust_domain());
      FederationRecord record =
          before == tables.federation.end() ? FederationRecord() : before->second;
      record.mutable_relationship()->set_trust_domain(bundle.trust_domain());
      *record.mutable_relationship()->mutable_trust_domain_bundle() = bundle;
      record.set_fetched_at(now);
      Set(*result.mutable_status(), Code::kOk, "OK");
      *result.mutable_bundle() = MaskedBundle(bundle, mask);
      plan.changes.push_back(
          {Table::kFederation, bundle.trust_domain(), record.SerializeAsString()});
      records.push_back(std::move(record));
    }
    plan.apply = [records](AuthorityTables& changed) {
      for (const FederationRecord& record : records) {
        changed.federation[record.relationship().trust_domain()] = record;
      }
    };
    return plan;
  };
}

AuthorityState::Planner PlanToDeleteBundles(std::shared_ptr<DeleteBundlesBatch> batch) {
  return [batch = std::move(batch)](const AuthorityTables& tables) -> Result<Plan> {
    BundleRemoval removal(tables, batch->request.mode());
    for (const std::string& name : batch->request.trust_domains()) {
      auto& result = *batch->response.add_results();
      result.set_trust_domain(name);
      const auto removed = removal.Remove(name);
      Set(*result.mutable_status(),
          removed.ok() ? Code::kOk : removed.error().code(),
          removed.ok() ? "OK" : removed.error().message());
    }
    return removal.TakePlan();
  };
}

}  // namespace credence
