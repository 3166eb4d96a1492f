#include "agent/authority/services/entry_batches.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "agent/authority/services/entry_rules.h"
#include "base/crypto/digest.h"

namespace credence {
namespace {

using spire::api::types::Entry;
using spire::api::types::EntryMask;
using spire::api::types::Status;
using Plan = AuthorityState::Plan;

void Set(Status& status, Code code, const std::string& message) {
  status.set_code(static_cast<std::int32_t>(code));
  status.set_message(message);
}

void SetOk(Status& status) {
  Set(status, Code::kOk, "OK");
}

std::function<bool(std::string_view)> KnowsBundle(const AuthorityTables& tables) {
  return [&tables](std::string_view name) { return tables.federation.contains(name); };
}

Change PutEntry(const Entry& entry) {
  return {Table::kEntries, entry.id(), entry.SerializeAsString()};
}

/// An entry that stands in a file is changed there.
Result<void> CheckNotInFile(const AuthorityTables& tables, const std::string& id) {
  const auto found = tables.file_entries.find(id);
  if (found == tables.file_entries.end()) {
    return Ok();
  }
  return Error(Code::kFailedPrecondition,
               fmt::format("entry {} stands in {}: change it there", id, found->second));
}

std::function<void(AuthorityTables&)> PutAll(std::vector<StoredEntry> entries) {
  return [entries = std::move(entries)](AuthorityTables& changed) {
    for (const StoredEntry& entry : entries) {
      changed.entries.Put(entry);
    }
  };
}

/// The updates of one batch, which may name an entry twice, or make two alike.
class EntryUpdates {
 public:
  /// `mask` says which fields are taken over; null for all.
  EntryUpdates(const AuthorityTables& tables,
               const TrustDomain& trust_domain,
               const EntryMask* mask)
      : tables_(tables), trust_domain_(trust_domain), mask_(mask) {}

  /// The entry as it becomes. Errors: kNotFound; kAlreadyExists when another one is like it; as
  /// CheckNotInFile and CheckEntry.
  Result<StoredEntry> Update(const Entry& wanted) {
    const StoredEntry before = Present(wanted.id());
    if (!before) {
      return Error(Code::kNotFound,
                   fmt::format("there is no entry with the ID \"{:.255}\"", wanted.id()));
    }
    if (auto good = CheckNotInFile(tables_, wanted.id()); !good.ok()) {
      return std::move(good).error();
    }
    auto entry = std::make_shared<Entry>(mask_ != nullptr ? *before : wanted);
    if (mask_ != nullptr) {
      CopyFields(*mask_, wanted, *entry);
    }
    entry->set_revision_number(before->revision_number() + 1);
    entry->set_created_at(before->created_at());
    if (auto good = CheckEntry(*entry, trust_domain_, KnowsBundle(tables_)); !good.ok()) {
      return std::move(good).error();
    }
    const StoredEntry twin = Twin(*entry);
    if (twin && twin->id() != entry->id()) {
      return Error(
          Code::kAlreadyExists,
          fmt::format("entry {} has the same SPIFFE ID, parent and selectors", twin->id()));
    }
    updated_.Put(entry);
    return StoredEntry(std::move(entry));
  }

  /// Each updated entry once.
  std::vector<StoredEntry> Newest() const {
    std::vector<StoredEntry> entries;
    for (const auto& [id, entry] : updated_.all()) {
      entries.push_back(entry);
    }
    return entries;
  }

 private:
  StoredEntry Present(const std::string& id) const {
    StoredEntry entry = updated_.Find(id);
    return entry ? entry : tables_.entries.Find(id);
  }

  StoredEntry Twin(const Entry& entry) const {
    if (StoredEntry twin = updated_.FindTwin(entry)) {
      return twin;
    }
    StoredEntry twin = tables_.entries.FindTwin(entry);
    return twin && updated_.Find(twin->id()) ? nullptr : twin;
  }

  const AuthorityTables& tables_;
  const TrustDomain& trust_domain_;
  const EntryMask* mask_;
  EntrySet updated_;
};

}  // namespace

AuthorityState::Planner PlanToCreate(std::shared_ptr<CreateBatch> batch,
                                     TrustDomain trust_domain,
                                     std::int64_t now) {
  return [batch = std::move(batch), trust_domain = std::move(trust_domain), now](
             const AuthorityTables& tables) -> Result<Plan> {
    const auto& request = batch->request;
    const auto* mask = request.has_output_mask() ? &request.output_mask() : nullptr;
    Plan plan;
    std::vector<StoredEntry> created;
    // Items of one batch may repeat each other.
    EntrySet in_this_batch;
    for (const Entry& wanted : request.entries()) {
      auto& result = *batch->response.add_results();
      if (const auto good = CheckEntry(wanted, trust_domain, KnowsBundle(tables)); !good.ok()) {
        Set(*result.mutable_status(), good.error().code(), good.error().message());
        continue;
      }
      if (wanted.id().starts_with(kFileEntryPrefix)) {
        Set(*result.mutable_status(),
            Code::kInvalidArgument,
            fmt::format("id: those that start with {} are of entries in files", kFileEntryPrefix));
        continue;
      }
      StoredEntry twin = tables.entries.FindTwin(wanted);
      if (!twin) {
        twin = in_this_batch.FindTwin(wanted);
      }
      if (twin) {
        Set(*result.mutable_status(), Code::kAlreadyExists, "similar entry already exists");
        *result.mutable_entry() = Masked(*twin, mask);
        continue;
      }
      if (!wanted.id().empty() &&
          (tables.entries.Find(wanted.id()) || in_this_batch.Find(wanted.id()))) {
        Set(*result.mutable_status(),
            Code::kAlreadyExists,
            fmt::format("there is another entry with the ID {}", wanted.id()));
        continue;
      }
      auto entry = std::make_shared<Entry>(wanted);
      if (entry->id().empty()) {
        entry->set_id(RandomUuid());
      }
      entry->set_revision_number(0);
      entry->set_created_at(now);
      SetOk(*result.mutable_status());
      *result.mutable_entry() = Masked(*entry, mask);
      plan.changes.push_back(PutEntry(*entry));
      in_this_batch.Put(entry);
      created.push_back(std::move(entry));
    }
    plan.apply = PutAll(std::move(created));
    return plan;
  };
}

AuthorityState::Planner PlanToUpdate(std::shared_ptr<UpdateBatch> batch, TrustDomain trust_domain) {
  return [batch = std::move(batch),
          trust_domain = std::move(trust_domain)](const AuthorityTables& tables) -> Result<Plan> {
    const auto& request = batch->request;
    const auto* mask = request.has_output_mask() ? &request.output_mask() : nullptr;
    EntryUpdates updates(
        tables, trust_domain, request.has_input_mask() ? &request.input_mask() : nullptr);
    Plan plan;
    for (const Entry& wanted : request.entries()) {
      auto& result = *batch->response.add_results();
      const auto entry = updates.Update(wanted);
      if (!entry.ok()) {
        Set(*result.mutable_status(), entry.error().code(), entry.error().message());
        continue;
      }
      SetOk(*result.mutable_status());
      *result.mutable_entry() = Masked(**entry, mask);
      plan.changes.push_back(PutEntry(**entry));
    }
    plan.apply = PutAll(updates.Newest());
    return plan;
  };
}

AuthorityState::Planner PlanToDelete(std::shared_ptr<DeleteBatch> batch) {
  return [batch = std::move(batch)](const AuthorityTables& tables) -> Result<Plan> {
    Plan plan;
    std::vector<std::string> deleted;
    for (const std::string& id : batch->request.ids()) {
      auto& result = *batch->response.add_results();
      result.set_id(id);
      if (!tables.entries.Find(id)) {
        Set(*result.mutable_status(),
            Code::kNotFound,
            fmt::format("there is no entry with the ID \"{:.255}\"", id));
        continue;
      }
      if (const auto good = CheckNotInFile(tables, id); !good.ok()) {
        Set(*result.mutable_status(), good.error().code(), good.error().message());
        continue;
      }
      SetOk(*result.mutable_status());
      plan.changes.push_back({Table::kEntries, id, std::nullopt});
      deleted.push_back(id);
    }
    plan.apply = [deleted](AuthorityTables& changed) {
      for (const std::string& id : deleted) {
        changed.entries.Erase(id);
      }
    };
    return plan;
  };
}

}  // namespace credence
