#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include <CLI/CLI.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include "agent/cli/authority/asking_command.h"
#include "agent/cli/authority/authority_flags.h"
#include "agent/cli/authority/command_entry_change.h"
#include "agent/cli/authority/entry_flags.h"
#include "agent/cli/authority/server_output.h"
#include "agent/cli/authority/server_pages.h"
#include "agent/cli/authority/wire_types.h"
#include "agent/cli/commands.h"
#include "base/rpc/foreign_text.h"

#include "credence/authority/v1/control.grpc.pb.h"
#include "spire/api/server/entry/v1/entry.grpc.pb.h"

namespace credence {
namespace {

using EntryStub = spire::api::server::entry::v1::Entry::Stub;
using spire::api::server::entry::v1::CountEntriesRequest;
using spire::api::server::entry::v1::GetEntryRequest;
using spire::api::server::entry::v1::ListEntriesRequest;
using spire::api::server::entry::v1::ListEntriesResponse;

constexpr int kEntriesPerPage = 500;

struct ShowOptions {
  AuthorityFlags authority;
  std::string id;
  EntryFilterFlags filter;
};

struct CountOptions {
  AuthorityFlags authority;
  EntryFilterFlags filter;
};

/// By SPIFFE ID, then node, then the order in which they were made.
void SortEntries(ListEntriesResponse& list) {
  const auto key = [](const spire::api::types::Entry& entry) {
    return std::tuple(
        TextOf(entry.spiffe_id()), TextOf(entry.parent_id()), entry.created_at(), entry.id());
  };
  std::sort(list.mutable_entries()->pointer_begin(),
            list.mutable_entries()->pointer_end(),
            [&](const auto* a, const auto* b) { return key(*a) < key(*b); });
}

Result<ListEntriesResponse> FetchOne(const AuthorityClient& client, const std::string& id) {
  GetEntryRequest request;
  request.set_id(id);
  auto entry = client.Call(&EntryStub::GetEntry, request);
  if (!entry.ok()) {
    return std::move(entry).error().Wrap("entry " + id);
  }
  ListEntriesResponse list;
  *list.add_entries() = *std::move(entry);
  return list;
}

Result<ListEntriesResponse> Fetch(const ShowOptions& options) {
  if (!options.id.empty() && !options.filter.empty()) {
    return Error(Code::kInvalidArgument, "-entryID stands alone: it names one entry");
  }
  auto filter = ListFilter(options.filter);
  if (!filter.ok()) {
    return std::move(filter).error();
  }
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  if (!options.id.empty()) {
    return FetchOne(*client, options.id);
  }
  ListEntriesRequest request;
  *request.mutable_filter() = *std::move(filter);
  request.set_page_size(kEntriesPerPage);
  return FetchPages(*client, &EntryStub::ListEntries, request);
}

/// The files of the entries that stand in one, by entry ID. A spire-server knows none.
using Origins = std::map<std::string, std::string>;

Result<Origins> FetchOrigins(const ShowOptions& options, const ListEntriesResponse& list) {
  Origins origins;
  const bool any = std::any_of(list.entries().begin(), list.entries().end(), [](const auto& entry) {
    return entry.id().starts_with("file.");
  });
  if (!any) {
    return origins;
  }
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  const auto reply = client->Call(&authority::v1::Control::Stub::ListFileEntries, {});
  if (!reply.ok()) {
    return reply.error().code() == Code::kUnimplemented ? Result<Origins>(origins) : reply.error();
  }
  for (const auto& file : reply->files()) {
    for (const std::string& id : file.entry_ids()) {
      origins[id] = file.file();
    }
  }
  return origins;
}

/// As spire-server writes the list; entries in files have an "origin" more.
void PrintEntriesJson(const ListEntriesResponse& list, const Origins& origins) {
  boost::json::value value = boost::json::parse(MessageJson(list));
  for (boost::json::value& entry : value.at("entries").as_array()) {
    const auto found = origins.find(std::string(entry.at("id").as_string()));
    if (found != origins.end()) {
      entry.as_object()["origin"] = found->second;
    }
  }
  PrintJson(value);
}

Result<ExitCode> Show(const ShowOptions& options) {
  auto list = Fetch(options);
  if (!list.ok()) {
    return std::move(list).error();
  }
  SortEntries(*list);
  const auto origins = FetchOrigins(options, *list);
  if (!origins.ok()) {
    return origins.error();
  }
  if (options.authority.format == OutputFormat::kJson) {
    PrintEntriesJson(*list, *origins);
    return ExitCode::kOk;
  }
  PrintLine("Found " + Counted(static_cast<std::size_t>(list->entries_size()), "entry", "entries"));
  for (const auto& entry : list->entries()) {
    const auto origin = origins->find(entry.id());
    PrintLine(DescribeEntry(entry) +
              (origin == origins->end()
                   ? ""
                   : fmt::format("{:<24}: {}\n", "Origin", ForeignText(origin->second))));
  }
  return ExitCode::kOk;
}

Result<ExitCode> Count(const CountOptions& options) {
  auto filter = CountFilter(options.filter);
  if (!filter.ok()) {
    return std::move(filter).error();
  }
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  CountEntriesRequest request;
  *request.mutable_filter() = *std::move(filter);
  const auto reply = client->Call(&EntryStub::CountEntries, request);
  if (!reply.ok()) {
    return reply.error();
  }
  if (options.authority.format == OutputFormat::kJson) {
    PrintMessageJson(*reply);
  } else {
    PrintLine(Counted(
        static_cast<std::size_t>(reply->count()), "registration entry", "registration entries"));
  }
  return ExitCode::kOk;
}

}  // namespace

void AddEntryCommand(CLI::App& app, const std::shared_ptr<Action>& action) {
  CLI::App* entry = app.add_subcommand(
      "entry", "Registration entries at the authority: who gets which SPIFFE ID");
  entry->footer(
      "Examples:\n"
      "  credence entry create -spiffeID spiffe://example.org/web -selector unix:user:web\n"
      "  credence entry show\n"
      "  credence entry create --help");
  entry->require_subcommand(1);
  AddEntryChangeCommands(*entry, action);

  auto show = std::make_shared<ShowOptions>();
  CLI::App* command = entry->add_subcommand("show", "Show entries");
  command->footer(
      "Examples:\n"
      "  credence entry show\n"
      "  credence entry show -selector unix:uid:1000 -output json");
  command->add_option("--entryID", show->id, "This entry alone");
  show->filter.AddTo(*command);
  FinishCommand(*command, show, Show, action);

  auto count = std::make_shared<CountOptions>();
  command = entry->add_subcommand("count", "Count entries");
  command->footer(
      "Examples:\n"
      "  credence entry count\n"
      "  credence entry count -parentID spiffe://example.org/node/local");
  count->filter.AddTo(*command);
  FinishCommand(*command, count, Count, action);
}

}  // namespace credence
