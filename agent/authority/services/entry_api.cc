#include "agent/authority/services/entry_api.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "agent/authority/services/entry_batches.h"
#include "agent/authority/services/entry_rules.h"
#include "agent/authority/services/matching.h"
#include "base/h2/message_codec.h"

#include "spire/api/server/entry/v1/entry.pb.h"

namespace credence {
namespace {

using h2::ParseRequest;
using h2::Serialize;
using spire::api::types::Entry;
namespace api = spire::api::server::entry::v1;

constexpr int kMaxBatch = 10'000;

/// Both requests have such a filter.
bool PassesFilter(const Entry& entry, const auto& filter) {
  if (filter.has_by_spiffe_id() && TextOfId(filter.by_spiffe_id()) != TextOfId(entry.spiffe_id())) {
    return false;
  }
  if (filter.has_by_parent_id() && TextOfId(filter.by_parent_id()) != TextOfId(entry.parent_id())) {
    return false;
  }
  if (filter.has_by_selectors() && !Fits(SelectorTexts(entry.selectors()),
                                         SelectorTexts(filter.by_selectors().selectors()),
                                         filter.by_selectors().match())) {
    return false;
  }
  const auto names = [](const auto& list) {
    return std::vector<std::string>(list.begin(), list.end());
  };
  if (filter.has_by_federates_with() && !Fits(names(entry.federates_with()),
                                              names(filter.by_federates_with().trust_domains()),
                                              filter.by_federates_with().match())) {
    return false;
  }
  return (!filter.has_by_hint() || filter.by_hint().value() == entry.hint()) &&
         (!filter.has_by_downstream() || filter.by_downstream().value() == entry.downstream());
}

/// Errors: kInvalidArgument for a filter that could match nothing by mistake.
Result<void> CheckFilter(const auto& filter) {
  const auto bad = [](std::string_view field, std::string_view rule) {
    return Error(Code::kInvalidArgument, fmt::format("filter.{}: {}", field, rule));
  };
  if (filter.has_by_spiffe_id() && TextOfId(filter.by_spiffe_id()).empty()) {
    return bad("by_spiffe_id", "is no SPIFFE ID");
  }
  if (filter.has_by_parent_id() && TextOfId(filter.by_parent_id()).empty()) {
    return bad("by_parent_id", "is no SPIFFE ID");
  }
  if (filter.has_by_selectors() && filter.by_selectors().selectors().empty()) {
    return bad("by_selectors", "is empty");
  }
  if (filter.has_by_federates_with() && filter.by_federates_with().trust_domains().empty()) {
    return bad("by_federates_with", "is empty");
  }
  return Ok();
}

Result<void> CheckBatch(int size) {
  if (size > kMaxBatch) {
    return Error(Code::kInvalidArgument, fmt::format("a batch has at most {} items", kMaxBatch));
  }
  return Ok();
}

}  // namespace

void EntryApi::RegisterForOperators(h2::Server& server) {
  const auto add = [this, &server](std::string_view method, auto serve) {
    server.HandleUnary(fmt::format("/spire.api.server.entry.v1.Entry/{}", method),
                       [this, serve](std::shared_ptr<h2::ServerCall> call, std::string request) {
                         return (this->*serve)(std::move(call), std::move(request));
                       });
  };
  add("CountEntries", &EntryApi::Count);
  add("ListEntries", &EntryApi::List);
  add("GetEntry", &EntryApi::Get);
  add("BatchCreateEntry", &EntryApi::BatchCreate);
  add("BatchUpdateEntry", &EntryApi::BatchUpdate);
  add("BatchDeleteEntry", &EntryApi::BatchDelete);
}

Task<h2::UnaryReply> EntryApi::Count(std::shared_ptr<h2::ServerCall> call, std::string request) {
  if (auto refusal = access_.RefusalOfOperator(*call)) {
    co_return *std::move(refusal);
  }
  api::CountEntriesRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  if (const auto good = CheckFilter(message.filter()); !good.ok()) {
    co_return good.error();
  }
  const auto& entries = state_.tables().entries.all();
  const auto count = std::count_if(entries.begin(), entries.end(), [&](const auto& entry) {
    return PassesFilter(*entry.second, message.filter());
  });
  api::CountEntriesResponse response;
  response.set_count(static_cast<std::int32_t>(count));
  co_return Serialize(response);
}

Task<h2::UnaryReply> EntryApi::List(std::shared_ptr<h2::ServerCall> call, std::string request) {
  if (auto refusal = access_.RefusalOfOperator(*call)) {
    co_return *std::move(refusal);
  }
  api::ListEntriesRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  if (const auto good = CheckFilter(message.filter()); !good.ok()) {
    co_return good.error();
  }
  const auto* mask = message.has_output_mask() ? &message.output_mask() : nullptr;
  api::ListEntriesResponse response;
  response.set_next_page_token(TakePage(
      state_.tables().entries.all(),
      message.page_token(),
      message.page_size(),
      [&](const StoredEntry& entry) { return PassesFilter(*entry, message.filter()); },
      [&](const StoredEntry& entry) { *response.add_entries() = Masked(*entry, mask); }));
  co_return Serialize(response);
}

Task<h2::UnaryReply> EntryApi::Get(std::shared_ptr<h2::ServerCall> call, std::string request) {
  if (auto refusal = access_.RefusalOfOperator(*call)) {
    co_return *std::move(refusal);
  }
  api::GetEntryRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  const StoredEntry entry = state_.tables().entries.Find(message.id());
  if (!entry) {
    co_return Error(Code::kNotFound,
                    fmt::format("there is no entry with the ID \"{:.255}\"", message.id()));
  }
  co_return Serialize(Masked(*entry, message.has_output_mask() ? &message.output_mask() : nullptr));
}

Task<h2::UnaryReply> EntryApi::BatchCreate(std::shared_ptr<h2::ServerCall> call,
                                           std::string request) {
  if (auto refusal = access_.RefusalOfOperator(*call)) {
    co_return *std::move(refusal);
  }
  const auto batch = std::make_shared<CreateBatch>();
  if (const auto parsed = ParseRequest(request, batch->request); !parsed.ok()) {
    co_return parsed.error();
  }
  if (const auto good = CheckBatch(batch->request.entries_size()); !good.ok()) {
    co_return good.error();
  }
  const auto written = co_await state_.Write(
      PlanToCreate(batch, state_.trust_domain(), ToUnixSeconds(clock_.Now())));
  if (!written.ok()) {
    co_return written.error();
  }
  co_return Serialize(batch->response);
}

Task<h2::UnaryReply> EntryApi::BatchUpdate(std::shared_ptr<h2::ServerCall> call,
                                           std::string request) {
  if (auto refusal = access_.RefusalOfOperator(*call)) {
    co_return *std::move(refusal);
  }
  const auto batch = std::make_shared<UpdateBatch>();
  if (const auto parsed = ParseRequest(request, batch->request); !parsed.ok()) {
    co_return parsed.error();
  }
  if (const auto good = CheckBatch(batch->request.entries_size()); !good.ok()) {
    co_return good.error();
  }
  const auto written = co_await state_.Write(PlanToUpdate(batch, state_.trust_domain()));
  if (!written.ok()) {
    co_return written.error();
  }
  co_return Serialize(batch->response);
}

Task<h2::UnaryReply> EntryApi::BatchDelete(std::shared_ptr<h2::ServerCall> call,
                                           std::string request) {
  if (auto refusal = access_.RefusalOfOperator(*call)) {
    co_return *std::move(refusal);
  }
  const auto batch = std::make_shared<DeleteBatch>();
  if (const auto parsed = ParseRequest(request, batch->request); !parsed.ok()) {
    co_return parsed.error();
  }
  if (const auto good = CheckBatch(batch->request.ids_size()); !good.ok()) {
    co_return good.error();
  }
  const auto written = co_await state_.Write(PlanToDelete(batch));
  if (!written.ok()) {
    co_return written.error();
  }
  co_return Serialize(batch->response);
}

}  // namespace credence
