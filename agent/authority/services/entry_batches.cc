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
    Plan plan;
    // The newest of each entry: the batch may name one twice, or make two alike.
    EntrySet updated;
    for (const Entry& wanted : request.entries()) {
      auto& result = *batch->response.add_results();
      StoredEntry before = updated.Find(wanted.id());
      if (!before) {
        before = tables.entries.Find(wanted.id());
      }
      if (!before) {
        Set(*result.mutable_status(),
            Code::kNotFound,
            fmt::format("there is no entry with the ID \"{:.255}\"", wanted.id()));
        continue;
      }
      if (const auto good = CheckNotInFile(tables, wanted.id()); !good.ok()) {
        Set(*result.mutable_status(), good.error().code(), good.error().message());
        continue;
      }
      auto entry = std::make_shared<Entry>(request.has_input_mask() ? *before : wanted);
      if (request.has_input_mask()) {
        CopyFields(request.input_mask(), wanted, *entry);
      }
      entry->set_revision_number(before->revision_number() + 1);
      entry->set_created_at(before->created_at());
      if (const auto good = CheckEntry(*entry, trust_domain, KnowsBundle(tables)); !good.ok()) {
        Set(*result.mutable_status(), good.error().code(), good.error().message());
        continue;
      }
      StoredEntry twin = updated.FindTwin(*entry);
      if (!twin) {
        twin = tables.entries.FindTwin(*entry);
        if (twin && updated.Find(twin->id())) {
          twin = nullptr;
        }
      }
      if (twin && twin->id() != entry->id()) {
        Set(*result.mutable_status(),
            Code::kAlreadyExists,
            fmt::format("entry {} has the same SPIFFE ID, parent and selectors", twin->id()));
        continue;
      }
      SetOk(*result.mutable_status());
      *result.mutable_entry() = Masked(*entry, mask);
      plan.changes.push_back(PutEntry(*entry));
      updated.Put(std::move(entry));
    }
    std::vector<StoredEntry> entries;
    for (const auto& [id, entry] : updated.all()) {
      entries.push_back(entry);
    }
    plan.apply = PutAll(std::move(entries));
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
