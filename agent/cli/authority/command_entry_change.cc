#include "agent/cli/authority/command_entry_change.h"

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include "agent/cli/authority/asking_command.h"
#include "agent/cli/authority/authority_flags.h"
#include "agent/cli/authority/entry_file.h"
#include "agent/cli/authority/entry_flags.h"
#include "agent/cli/authority/server_batch.h"
#include "agent/cli/authority/server_output.h"
#include "agent/cli/input.h"
#include "base/rpc/foreign_text.h"

#include "spire/api/server/entry/v1/entry.grpc.pb.h"

namespace credence {
namespace {

using EntryStub = spire::api::server::entry::v1::Entry::Stub;
using spire::api::server::entry::v1::BatchDeleteEntryResponse;
using EntryList = std::vector<spire::api::types::Entry>;

struct ChangeOptions {
  AuthorityFlags authority;
  EntryUse use = EntryUse::kCreate;
  EntryFlags entry;
  /// File with entries instead of `entry`.
  std::string data;
};

struct DeleteOptions {
  AuthorityFlags authority;
  std::string id;
  /// File with IDs instead of `id`.
  std::string file;
};

void PrintError(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
}

/// "code: NotFound, msg: \"entry not found\"".
std::string Reason(const spire::api::types::Status& status) {
  return fmt::format("code: {}, msg: {}",
                     GoCodeName(status.code()),
                     boost::json::serialize(boost::json::value(status.message())));
}

/// The entries, as the server made them; those that failed go to standard error.
template <class Reply>
void PrintEntries(const Reply& reply, std::string_view verb) {
  for (const auto& result : reply.results()) {
    if (result.status().code() == 0) {
      PrintLine(DescribeEntry(result.entry()));
    }
  }
  for (const auto& result : reply.results()) {
    if (result.status().code() != 0) {
      PrintError(fmt::format("Failed to {} the following entry ({}):\n{}\n",
                             verb,
                             Reason(result.status()),
                             DescribeEntry(result.entry())));
    }
  }
}

void PrintDeleted(const BatchDeleteEntryResponse& reply) {
  for (const auto& result : reply.results()) {
    if (result.status().code() == 0) {
      PrintLine("Deleted entry with ID: " + ForeignText(result.id()));
    } else {
      PrintError(fmt::format("Failed to delete entry with ID {} ({})\n",
                             ForeignText(result.id()),
                             Reason(result.status())));
    }
  }
}

/// Prints what came of `count` items. With kJson the answer comes first, whatever failed: it names
/// what is done. `print` writes the human form.
template <class Reply, class Print>
ExitCode ReportBatch(const BatchOutcome<Reply>& outcome,
                     std::size_t count,
                     std::string_view verb,
                     OutputFormat format,
                     Print print) {
  if (outcome.reply.results().empty() && outcome.ended_early) {
    return Conclude(*outcome.ended_early, format);
  }
  if (format == OutputFormat::kJson) {
    PrintMessageJson(outcome.reply);
  } else {
    print(outcome.reply);
  }
  if (outcome.failed > 0) {
    ReportError(fmt::format("failed to {} {} of {}", verb, outcome.failed, count));
  }
  if (outcome.ended_early) {
    ReportError(fmt::format("{} of {} were not tried",
                            count - static_cast<std::size_t>(outcome.reply.results_size()),
                            count));
    return Conclude(*outcome.ended_early, OutputFormat::kHuman);
  }
  return outcome.failed > 0 ? ExitCode::kFailed : ExitCode::kOk;
}

Result<EntryList> EntriesOfFile(const std::string& path, EntryUse use) {
  auto text = ReadInput(path, kMaxEntryFileBytes);
  if (!text.ok()) {
    return std::move(text).error();
  }
  auto entries = ParseEntryFile(*text, use);
  if (!entries.ok()) {
    return std::move(entries).error().Wrap(path == "-" ? "standard input" : path);
  }
  return entries;
}

Result<ExitCode> Send(const ChangeOptions& options, const EntryList& entries) {
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  const OutputFormat format = options.authority.format;
  if (options.use == EntryUse::kCreate) {
    const auto outcome = SendInBatches(*client, &EntryStub::BatchCreateEntry, entries);
    return ReportBatch(outcome, entries.size(), "create", format, [](const auto& reply) {
      PrintEntries(reply, "create");
    });
  }
  const auto outcome = SendInBatches(*client, &EntryStub::BatchUpdateEntry, entries);
  return ReportBatch(outcome, entries.size(), "update", format, [](const auto& reply) {
    PrintEntries(reply, "update");
  });
}

Result<ExitCode> Change(const ChangeOptions& options) {
  if (options.data.empty()) {
    const auto entry = EntryFromFlags(options.entry, options.use);
    return entry.ok() ? Send(options, {*entry}) : Result<ExitCode>(entry.error());
  }
  if (options.entry != EntryFlags{}) {
    return Error(Code::kInvalidArgument,
                 "-data stands alone: the file says everything about its entries");
  }
  const auto entries = EntriesOfFile(options.data, options.use);
  return entries.ok() ? Send(options, *entries)
                      : RefuseFile(entries.error(), options.authority.format);
}

Result<std::vector<std::string>> IdsOfFile(const std::string& path) {
  auto text = ReadInput(path, kMaxEntryFileBytes);
  if (!text.ok()) {
    return std::move(text).error();
  }
  auto ids = ParseIdFile(*text);
  if (!ids.ok()) {
    return std::move(ids).error().Wrap(path == "-" ? "standard input" : path);
  }
  return ids;
}

Result<ExitCode> Delete(const DeleteOptions& options) {
  if (options.id.empty() == options.file.empty()) {
    return Error(Code::kInvalidArgument, "give either -entryID or -file");
  }
  std::vector<std::string> ids{options.id};
  if (!options.file.empty()) {
    auto read = IdsOfFile(options.file);
    if (!read.ok()) {
      return RefuseFile(read.error(), options.authority.format);
    }
    ids = *std::move(read);
  }
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  const auto outcome = SendInBatches(*client, &EntryStub::BatchDeleteEntry, ids);
  return ReportBatch(outcome, ids.size(), "delete", options.authority.format, PrintDeleted);
}

void AddChange(CLI::App& command, EntryUse use, const std::shared_ptr<Action>& action) {
  auto options = std::make_shared<ChangeOptions>();
  options->use = use;
  options->entry.AddTo(command, use);
  command.add_option(
      "--data", options->data, "JSON file with entries instead of flags, or - for standard input");
  FinishCommand(command, options, Change, action);
}

}  // namespace

void AddEntryChangeCommands(CLI::App& entry, const std::shared_ptr<Action>& action) {
  CLI::App* create = entry.add_subcommand("create", "Create entries");
  create->footer(
      "Examples:\n"
      "  credence entry create -spiffeID spiffe://example.org/web -selector unix:user:web\n"
      "  credence entry create -spiffeID spiffe://example.org/db -selector unix:uid:70 \\\n"
      "      -selector unix:path:/usr/bin/postgres -dns db.internal -x509SVIDTTL 3600\n"
      "  credence entry create -data entries.json\n"
      "A file holds {\"entries\": [{\"spiffe_id\": \"spiffe://example.org/web\",\n"
      "    \"selectors\": [{\"type\": \"unix\", \"value\": \"user:web\"}]}]}");
  AddChange(*create, EntryUse::kCreate, action);

  CLI::App* update = entry.add_subcommand("update", "Replace all of what entries say");
  update->footer(
      "Examples:\n"
      "  credence entry update -entryID ID -spiffeID spiffe://example.org/web \\\n"
      "      -parentID spiffe://example.org/node/local -selector unix:uid:1000\n"
      "  credence entry update -data entries.json");
  AddChange(*update, EntryUse::kUpdate, action);

  auto options = std::make_shared<DeleteOptions>();
  CLI::App* remove = entry.add_subcommand("delete", "Delete entries");
  remove->footer(
      "Examples:\n"
      "  credence entry delete -entryID ID\n"
      "  echo '{\"ids\": [\"ID\", \"ID\"]}' | credence entry delete -file -");
  remove->add_option("--entryID", options->id, "Entry to delete");
  remove->add_option(
      "--file", options->file, "JSON file with IDs instead of a flag, or - for standard input");
  FinishCommand(*remove, options, Delete, action);
}

}  // namespace credence
