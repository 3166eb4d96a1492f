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
using spire::api::types::EntryMask;
namespace api = spire::api::server::entry::v1;

constexpr std::string_view kService = "/spire.api.server.entry.v1.Entry/";
/// As spire-server's.
constexpr std::size_t kSyncPage = 500;
/// Full entries in one message: well below what a gRPC client takes.
constexpr std::size_t kMostPageBytes = std::size_t{2} << 20;
constexpr int kMaxBatch = 10'000;

std::string Path(std::string_view method) {
  return std::string(kService) + std::string(method);
}

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

Task<Result<void>> Send(std::shared_ptr<h2::ServerCall> call,
                        std::shared_ptr<const api::SyncAuthorizedEntriesResponse> response) {
  auto message = Serialize(*response);
  if (!message.ok()) {
    co_return std::move(message).error();
  }
  auto written = co_await call->Write(*std::move(message));
  co_return written;
}

/// Sends `entries` in full, in as many messages as their size asks for; one at least.
Task<Result<void>> SendEntries(std::shared_ptr<h2::ServerCall> call,
                               std::vector<StoredEntry> entries,
                               std::shared_ptr<const EntryMask> mask) {
  std::size_t at = 0;
  do {
    const auto response = std::make_shared<api::SyncAuthorizedEntriesResponse>();
    std::size_t bytes = 0;
    for (; at < entries.size() && bytes < kMostPageBytes; ++at) {
      Entry entry = Masked(*entries[at], mask.get());
      bytes += entry.ByteSizeLong();
      *response->add_entries() = std::move(entry);
    }
    response->set_more(at < entries.size());
    auto sent = co_await Send(call, response);
    if (!sent.ok()) {
      co_return sent;
    }
  } while (at < entries.size());
  co_return Ok();
}

Task<Result<void>> SendRevisions(std::shared_ptr<h2::ServerCall> call,
                                 std::vector<StoredEntry> entries) {
  for (std::size_t begin = 0; begin < entries.size(); begin += kSyncPage) {
    const std::size_t end = std::min(entries.size(), begin + kSyncPage);
    const auto response = std::make_shared<api::SyncAuthorizedEntriesResponse>();
    for (std::size_t i = begin; i < end; ++i) {
      auto* revision = response->add_entry_revisions();
      revision->set_id(entries[i]->id());
      revision->set_revision_number(entries[i]->revision_number());
      revision->set_created_at(entries[i]->created_at());
    }
    response->set_more(end < entries.size());
    auto sent = co_await Send(call, response);
    if (!sent.ok()) {
      co_return sent;
    }
  }
  co_return Ok();
}

}  // namespace

void EntryApi::RegisterForAgents(h2::Server& server) {
  server.Handle(Path("SyncAuthorizedEntries"),
                [this](std::shared_ptr<h2::ServerCall> call) { return Sync(std::move(call)); });
  server.HandleUnary(Path("GetAuthorizedEntries"), [this](auto call, std::string request) {
    return GetAuthorized(std::move(call), std::move(request));
  });
}

void EntryApi::RegisterForOperators(h2::Server& server) {
  const auto add = [this, &server](std::string_view method, auto serve) {
    server.HandleUnary(Path(method),
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

std::vector<StoredEntry> EntryApi::AuthorizedFor(const std::string& agent_id) const {
  const auto& agents = state_.tables().agents;
  const auto agent = agents.find(agent_id);
  if (agent == agents.end() || agent->second.banned()) {
    return {};
  }
  const auto& selectors = agent->second.selectors();
  return state_.tables().entries.AuthorizedFor(
      agent_id, {selectors.begin(), selectors.end()}, ToUnixSeconds(clock_.Now()));
}

Task<h2::Status> EntryApi::Sync(std::shared_ptr<h2::ServerCall> call) {
  auto who = co_await access_.RequireAgent(call);
  if (auto* refusal = std::get_if<h2::Status>(&who)) {
    co_return std::move(*refusal);
  }
  const std::string agent_id = std::get<ApiCaller>(who).id;
  auto first = co_await call->Read();
  if (!first.ok()) {
    co_return h2::Status::From(first.error());
  }
  if (!first->has_value()) {
    co_return h2::Status{Code::kInvalidArgument, "the call has no request message", ""};
  }
  api::SyncAuthorizedEntriesRequest request;
  if (const auto parsed = ParseRequest(**first, request); !parsed.ok()) {
    co_return h2::Status::From(parsed.error());
  }
  if (!request.ids().empty()) {
    co_return h2::Status{Code::kInvalidArgument, "the first message names no ids", ""};
  }
  std::shared_ptr<const EntryMask> mask;
  if (request.has_output_mask()) {
    if (!request.output_mask().revision_number()) {
      co_return h2::Status{
          Code::kInvalidArgument, "output_mask: revision_number is needed to sync", ""};
    }
    mask = std::make_shared<const EntryMask>(request.output_mask());
  }
  std::vector<StoredEntry> entries = AuthorizedFor(agent_id);
  if (entries.size() <= kSyncPage) {
    const auto sent = co_await SendEntries(call, std::move(entries), mask);
    co_return sent.ok() ? h2::Status::Ok() : h2::Status::From(sent.error());
  }
  const auto sent = co_await SendRevisions(call, std::move(entries));
  if (!sent.ok()) {
    co_return h2::Status::From(sent.error());
  }
  const auto answered = co_await AnswerIds(call, agent_id, mask);
  co_return answered.ok() ? h2::Status::Ok() : h2::Status::From(answered.error());
}

Result<std::vector<StoredEntry>> EntryApi::Pick(const std::vector<std::string>& ids,
                                                const std::string& agent_id) const {
  // Looked at for each message: what an agent may serve can change while it asks.
  const auto& agents = state_.tables().agents;
  const auto agent = agents.find(agent_id);
  if (agent == agents.end() || agent->second.banned()) {
    return Error(Code::kPermissionDenied, "the agent was banned or evicted meanwhile");
  }
  if (ids.empty() || ids.size() > kSyncPage) {
    return Error(Code::kInvalidArgument, fmt::format("ids: 1 to {}", kSyncPage));
  }
  const std::vector<spire::api::types::Selector> selectors(agent->second.selectors().begin(),
                                                           agent->second.selectors().end());
  std::vector<StoredEntry> found;
  for (const std::string& id : ids) {
    auto entry = state_.tables().entries.FindAuthorized(
        id, agent_id, selectors, ToUnixSeconds(clock_.Now()));
    if (entry) {
      found.push_back(std::move(entry));
    }
  }
  return found;
}

Task<Result<void>> EntryApi::AnswerIds(std::shared_ptr<h2::ServerCall> call,
                                       std::string agent_id,
                                       std::shared_ptr<const EntryMask> mask) {
  const auto executor = co_await asio::this_coro::executor;
  while (true) {
    // Messages that wait are read without waiting: others have a turn between two of them.
    co_await asio::post(executor, asio::use_awaitable);
    auto next = co_await call->Read();
    if (!next.ok()) {
      co_return std::move(next).error();
    }
    if (!next->has_value()) {
      co_return Ok();
    }
    api::SyncAuthorizedEntriesRequest request;
    if (auto parsed = ParseRequest(**next, request); !parsed.ok()) {
      co_return parsed;
    }
    auto wanted = Pick({request.ids().begin(), request.ids().end()}, agent_id);
    if (!wanted.ok()) {
      co_return std::move(wanted).error();
    }
    auto sent = co_await SendEntries(call, *std::move(wanted), mask);
    if (!sent.ok()) {
      co_return sent;
    }
  }
}

Task<h2::UnaryReply> EntryApi::GetAuthorized(std::shared_ptr<h2::ServerCall> call,
                                             std::string request) {
  auto who = co_await access_.RequireAgent(call);
  if (auto* refusal = std::get_if<h2::Status>(&who)) {
    co_return std::move(*refusal);
  }
  api::GetAuthorizedEntriesRequest message;
  if (const auto parsed = ParseRequest(request, message); !parsed.ok()) {
    co_return parsed.error();
  }
  api::GetAuthorizedEntriesResponse response;
  for (const StoredEntry& entry : AuthorizedFor(std::get<ApiCaller>(who).id)) {
    *response.add_entries() =
        Masked(*entry, message.has_output_mask() ? &message.output_mask() : nullptr);
  }
  co_return Serialize(response);
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
