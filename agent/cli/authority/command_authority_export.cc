#include "agent/cli/authority/command_authority_export.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include "agent/cli/authority/asking_command.h"
#include "agent/cli/authority/authority_flags.h"
#include "agent/cli/authority/entry_export.h"
#include "agent/cli/authority/selector_flags.h"
#include "agent/cli/authority/server_output.h"
#include "agent/cli/authority/server_pages.h"
#include "agent/cli/authority/wire_types.h"
#include "base/core/file.h"
#include "base/core/safe_path.h"
#include "base/rpc/foreign_text.h"

#include "spire/api/server/bundle/v1/bundle.grpc.pb.h"
#include "spire/api/server/entry/v1/entry.grpc.pb.h"

namespace credence {
namespace {

namespace json = boost::json;
using EntryStub = spire::api::server::entry::v1::Entry::Stub;
using BundleStub = spire::api::server::bundle::v1::Bundle::Stub;
using spire::api::types::Entry;

constexpr int kPageSize = 500;
constexpr std::uint16_t kDefaultPort = 8081;

struct ExportOptions {
  AuthorityFlags authority;
  std::string dir = ".";
  std::string server_address;
  std::uint16_t server_port = kDefaultPort;
  std::string trust_bundle_path;
  std::vector<std::string> node_selectors;
};

/// How the agent proves itself to the server: by a join token, or by an attestor whose selectors
/// the node's entry names.
enum class Attestation { kByToken, kBySelectors };

/// One step of the move: what to do, and the lines to type.
struct MoveStep {
  std::string what;
  std::vector<std::string> lines;
};

/// All that the command tells.
struct Move {
  std::string trust_domain;
  EntryExport entries;
  std::vector<std::string> files;
  /// The settings to change, by name.
  json::object agent_conf;
  std::vector<MoveStep> steps;
};

/// Gives nodes with these selectors the ID that the entries hang on. Errors: kInvalidArgument.
Result<void> AddNodeEntry(const ExportOptions& options, Move& move) {
  if (options.node_selectors.empty()) {
    return Ok();
  }
  if (move.entries.nodes.size() != 1) {
    return Error(Code::kInvalidArgument,
                 fmt::format("-nodeSelector: the entries hang on {} nodes, so which one is meant "
                             "is not known: create its entry at the server, by hand",
                             move.entries.nodes.size()));
  }
  Entry node;
  auto id = WireId("the node", *move.entries.nodes.begin());
  if (!id.ok()) {
    return std::move(id).error();
  }
  *node.mutable_spiffe_id() = *std::move(id);
  node.mutable_parent_id()->set_trust_domain(node.spiffe_id().trust_domain());
  node.mutable_parent_id()->set_path("/spire/server");
  for (const std::string& text : options.node_selectors) {
    auto selector = WireSelector("-nodeSelector", text);
    if (!selector.ok()) {
      return std::move(selector).error();
    }
    *node.add_selectors() = *std::move(selector);
  }
  move.entries.entries.insert(move.entries.entries.begin(), std::move(node));
  move.entries.nodes.clear();
  return Ok();
}

Result<Move> Fetch(const ExportOptions& options) {
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  const auto bundle = client->Call(&BundleStub::GetBundle, {});
  if (!bundle.ok()) {
    return bundle.error();
  }
  spire::api::server::entry::v1::ListEntriesRequest request;
  request.set_page_size(kPageSize);
  const auto list = FetchPages(*client, &EntryStub::ListEntries, request);
  if (!list.ok()) {
    return list.error();
  }
  Move move;
  move.trust_domain = bundle->trust_domain();
  move.entries = SelectForExport({list->entries().begin(), list->entries().end()});
  if (auto added = AddNodeEntry(options, move); !added.ok()) {
    return std::move(added).error();
  }
  return move;
}

Result<void> WriteFiles(const std::string& folder, Move& move) {
  constexpr mode_t kFolderMode = 0755;
  constexpr mode_t kFileMode = 0644;
  if (auto made = MakeSafeFolders(folder, kFolderMode); !made.ok()) {
    return made;
  }
  auto parts = SplitForServer(move.entries.entries);
  if (parts.empty()) {
    parts.emplace_back();
  }
  for (const std::vector<Entry>& part : parts) {
    const std::string number = move.files.empty() ? "" : fmt::format("-{}", move.files.size() + 1);
    std::string path = fmt::format("{}/entries{}.json", folder, number);
    if (auto written = WriteFileAtomically(path, FormatEntryFile(part), kFileMode); !written.ok()) {
      return written;
    }
    move.files.push_back(std::move(path));
  }
  return Ok();
}

MoveStep TokenStep(const Move& move) {
  MoveStep token{"At the server, a join token for the agent", {"spire-server token generate"}};
  if (!move.entries.nodes.empty()) {
    token.what += "; with it the agent is the node that the entries hang on";
    token.lines.clear();
    for (const std::string& node : move.entries.nodes) {
      token.lines.push_back("spire-server token generate -spiffeID " + ShellQuote(node));
    }
  }
  return token;
}

void AddServerSteps(Move& move, const std::string& bundle_path, Attestation attestation) {
  MoveStep bundles{"At the server, the bundles that entries name; it refuses such entries without",
                   {}};
  for (const std::string& name : move.entries.federated) {
    bundles.lines.push_back(fmt::format(
        "credence bundle list -format spiffe -id {0} | spire-server bundle set -format spiffe -id "
        "spiffe://{0}",
        name));
  }
  if (!bundles.lines.empty()) {
    move.steps.push_back(std::move(bundles));
  }
  MoveStep create{"At the server, the entries", {}};
  for (const std::string& path : move.files) {
    create.lines.push_back("spire-server entry create -data " + ShellQuote(path));
  }
  move.steps.push_back(std::move(create));
  if (attestation == Attestation::kByToken) {
    move.steps.push_back(TokenStep(move));
  }
  move.steps.push_back({"From the server, its bundle for this machine",
                        {"spire-server bundle show > " + ShellQuote(bundle_path)}});
}

void AddAgentSteps(Move& move, Attestation attestation) {
  move.steps.push_back(
      {"Here, stop the agent and this authority, and remove agent-data.json from the agent's "
       "data_dir: it holds the identity that this authority gave",
       {}});
  MoveStep change{"In agent.conf, change these lines of the agent section", {}};
  for (const auto& setting : move.agent_conf) {
    // The texts of HCL are those of JSON.
    change.lines.push_back(fmt::format(
        "{:<17} = {}", std::string_view(setting.key()), json::serialize(setting.value())));
  }
  move.steps.push_back(std::move(change));
  if (attestation == Attestation::kByToken) {
    move.steps.push_back({"Start the agent with the token in a file of its own",
                          {"credence run -config agent.conf -joinTokenFile FILE"}});
  } else {
    move.steps.push_back(
        {"In agent.conf, replace the NodeAttestor by the one that gives those selectors (the "
         "server needs its counterpart), then start the agent without a token, which would "
         "replace it",
         {"credence run -config agent.conf"}});
  }
  move.steps.push_back(
      {"At vendors that take JWT-SVIDs, the server's issuer and keys: tokens are "
       "signed by it from then on",
       {}});
}

Result<Move> Plan(const ExportOptions& options) {
  auto move = Fetch(options);
  if (!move.ok()) {
    return move;
  }
  std::error_code failed;
  const std::string folder = std::filesystem::absolute(options.dir, failed).lexically_normal();
  if (failed) {
    return Error(Code::kInternal, fmt::format("-dir {}: {}", options.dir, failed.message()));
  }
  if (auto written = WriteFiles(folder, *move); !written.ok()) {
    return std::move(written).error();
  }
  const std::string bundle_path =
      options.trust_bundle_path.empty() ? folder + "/bundle.pem" : options.trust_bundle_path;
  move->agent_conf = {
      {"server_address",
       options.server_address.empty() ? "ADDRESS OF THE SERVER" : options.server_address},
      {"server_port", options.server_port},
      {"trust_bundle_path", bundle_path}};
  const Attestation attestation =
      options.node_selectors.empty() ? Attestation::kByToken : Attestation::kBySelectors;
  AddServerSteps(*move, bundle_path, attestation);
  AddAgentSteps(*move, attestation);
  return move;
}

json::array Texts(const auto& texts) {
  json::array array;
  for (const std::string& text : texts) {
    array.emplace_back(text);
  }
  return array;
}

void PrintMoveJson(const Move& move) {
  json::array steps;
  for (const MoveStep& step : move.steps) {
    steps.push_back({{"what", step.what}, {"lines", Texts(step.lines)}});
  }
  PrintJson({{"trust_domain", move.trust_domain},
             {"files", Texts(move.files)},
             {"entries", move.entries.entries.size()},
             {"aliases_left_out", move.entries.aliases},
             {"nodes", Texts(move.entries.nodes)},
             {"agents", Texts(move.entries.agents)},
             {"federated", Texts(move.entries.federated)},
             {"agent_conf", move.agent_conf},
             {"steps", std::move(steps)}});
}

void PrintMoveText(const Move& move) {
  PrintLine(fmt::format("{} written for a SPIRE server of trust domain {}: {}",
                        Counted(move.entries.entries.size(), "entry", "entries"),
                        ForeignText(move.trust_domain),
                        fmt::join(move.files, ", ")));
  for (const std::string& agent : move.entries.agents) {
    PrintLine(
        fmt::format("Entries hang on the agent {}: mind its ID at the server, and change "
                    "their parent_id if that is another",
                    ForeignText(agent)));
  }
  for (std::size_t number = 1; const MoveStep& step : move.steps) {
    PrintLine(fmt::format("\n{}. {}{}", number++, step.what, step.lines.empty() ? "." : ":"));
    for (const std::string& line : step.lines) {
      PrintLine("     " + line);
    }
  }
}

Result<ExitCode> Export(const ExportOptions& options) {
  const auto move = Plan(options);
  if (!move.ok()) {
    return move.error();
  }
  if (options.authority.format == OutputFormat::kJson) {
    PrintMoveJson(*move);
  } else {
    PrintMoveText(*move);
  }
  return ExitCode::kOk;
}

}  // namespace

void AddAuthorityExportCommand(CLI::App& authority, const std::shared_ptr<Action>& action) {
  auto options = std::make_shared<ExportOptions>();
  CLI::App* command = authority.add_subcommand(
      "export", "Write the entries for a SPIRE server, and say how to move to it");
  command->footer(
      "Examples:\n"
      "  credence authority export -dir move\n"
      "  credence authority export -dir move -serverAddress spire.example.org\n"
      "Nothing changes here. Entries keep their IDs. Agents at the server may attest otherwise "
      "than "
      "by join token: -nodeSelector x509pop:subject:cn:host adds the entry that makes such agents "
      "the node that the entries hang on.");
  command->add_option("--dir", options->dir, "Folder for the files")->capture_default_str();
  command->add_option(
      "--serverAddress", options->server_address, "Name or address of the SPIRE server");
  command->add_option("--serverPort", options->server_port, "Port of the SPIRE server")
      ->capture_default_str();
  command->add_option(
      "--trustBundlePath",
      options->trust_bundle_path,
      "Where its bundle will be on this machine (default: bundle.pem in the folder)");
  AddRepeatable(*command,
                "--nodeSelector",
                options->node_selectors,
                "Selector type:value of the nodes that the entries hang on (repeatable)");
  FinishCommand(*command, options, Export, action);
}

}  // namespace credence
