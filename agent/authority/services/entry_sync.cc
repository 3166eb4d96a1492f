#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "agent/authority/services/entry_api.h"
#include "agent/authority/services/entry_rules.h"
#include "base/h2/message_codec.h"

#include "spire/api/server/entry/v1/entry.pb.h"

/// What agents ask for: the entries that each of them may serve.
namespace credence {
namespace {

using h2::ParseRequest;
using h2::Serialize;
using spire::api::types::Entry;
using spire::api::types::EntryMask;
namespace api = spire::api::server::entry::v1;

/// As spire-server's.
constexpr std::size_t kSyncPage = 500;
/// Full entries in one message: well below what a gRPC client takes.
constexpr std::size_t kMostPageBytes = std::size_t{2} << 20;

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
  server.Handle("/spire.api.server.entry.v1.Entry/SyncAuthorizedEntries",
                [this](std::shared_ptr<h2::ServerCall> call) { return Sync(std::move(call)); });
  server.HandleUnary("/spire.api.server.entry.v1.Entry/GetAuthorizedEntries",
                     [this](auto call, std::string request) {
                       return GetAuthorized(std::move(call), std::move(request));
                     });
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

}  // namespace credence
