#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include "agent/cli/authority/asking_command.h"
#include "agent/cli/authority/authority_flags.h"
#include "agent/cli/authority/bundle_input.h"
#include "agent/cli/authority/federation_file.h"
#include "agent/cli/authority/server_output.h"
#include "agent/cli/authority/server_pages.h"
#include "agent/cli/authority/wire_types.h"
#include "agent/cli/commands.h"
#include "agent/cli/input.h"
#include "base/rpc/foreign_text.h"

#include "spire/api/server/trustdomain/v1/trustdomain.grpc.pb.h"

namespace credence {
namespace {

namespace trustdomain = spire::api::server::trustdomain::v1;
using TrustDomainStub = trustdomain::TrustDomain::Stub;
using spire::api::types::FederationRelationship;
using Relationships = std::vector<FederationRelationship>;

constexpr int kPageSize = 100;

enum class RelationshipUse { kCreate, kUpdate };

struct FederationOptions {
  AuthorityFlags authority;
  RelationshipUse use = RelationshipUse::kCreate;
  RelationshipWords words;
  /// File with the first bundle; "" for none.
  std::string bundle_path;
  BundleFormat bundle_format = BundleFormat::kPem;
  /// File with relationships instead of flags.
  std::string data;
  /// Trust domain, of the commands that take nothing else.
  std::string id;
};

/// Lines "Trust domain              : ...", each with its newline.
std::string Describe(const FederationRelationship& relationship) {
  std::string text;
  const auto add = [&text](std::string_view name, std::string_view value) {
    text += fmt::format("{:<26}: {}\n", name, ForeignText(value));
  };
  add("Trust domain", relationship.trust_domain());
  add("Bundle endpoint URL", relationship.bundle_endpoint_url());
  if (relationship.has_https_web()) {
    add("Bundle endpoint profile", "https_web");
  } else if (relationship.has_https_spiffe()) {
    add("Bundle endpoint profile", "https_spiffe");
    add("Endpoint SPIFFE ID", relationship.https_spiffe().endpoint_spiffe_id());
  }
  return text;
}

/// What came of each; what failed goes to standard error.
template <class Reply>
void PrintResults(const Reply& reply, std::string_view verb) {
  std::string failures;
  for (const auto& result : reply.results()) {
    std::string lines = Describe(result.federation_relationship());
    if (result.status().code() == 0) {
      lines.pop_back();
      PrintLine("\n" + lines);
      continue;
    }
    failures +=
        fmt::format("Failed to {} the following federation relationship (code: {}, msg: {}):\n{}",
                    verb,
                    GoCodeName(result.status().code()),
                    boost::json::serialize(boost::json::value(result.status().message())),
                    lines);
  }
  std::fwrite(failures.data(), 1, failures.size(), stderr);
}

/// Sends all of `wanted` by `method`, such as TrustDomain::Stub::BatchCreateFederationRelationship.
template <class Request, class Reply>
Result<ExitCode> Send(const FederationOptions& options,
                      grpc::Status (TrustDomainStub::*method)(grpc::ClientContext*,
                                                              const Request&,
                                                              Reply*),
                      const Relationships& wanted,
                      std::string_view verb) {
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  Request request;
  request.mutable_federation_relationships()->Assign(wanted.begin(), wanted.end());
  auto reply = client->Call(method, request);
  if (!reply.ok()) {
    return std::move(reply).error();
  }
  if (reply->results_size() != request.federation_relationships_size()) {
    return Error(Code::kInternal, "the authority did not say what came of each relationship");
  }
  int failed = 0;
  for (int i = 0; i < reply->results_size(); ++i) {
    auto& result = *reply->mutable_results(i);
    if (result.status().code() != 0) {
      // The server tells only the status of what failed.
      *result.mutable_federation_relationship() = request.federation_relationships(i);
      ++failed;
    }
  }
  if (options.authority.format == OutputFormat::kJson) {
    PrintMessageJson(*reply);
  } else {
    PrintResults(*reply, verb);
  }
  if (failed == 0) {
    return ExitCode::kOk;
  }
  ReportError(fmt::format("failed to {} {} of {}", verb, failed, wanted.size()));
  return ExitCode::kFailed;
}

Result<ExitCode> Send(const FederationOptions& options, const Relationships& wanted) {
  return options.use == RelationshipUse::kCreate
             ? Send(options, &TrustDomainStub::BatchCreateFederationRelationship, wanted, "create")
             : Send(options, &TrustDomainStub::BatchUpdateFederationRelationship, wanted, "update");
}

Result<Relationships> RelationshipsOfFile(const std::string& path) {
  const auto text = ReadInput(path, kMaxFederationFileBytes);
  if (!text.ok()) {
    return text.error();
  }
  auto relationships = ParseFederationFile(*text);
  if (!relationships.ok()) {
    return std::move(relationships).error().Wrap(path == "-" ? "standard input" : path);
  }
  return relationships;
}

Result<ExitCode> Change(const FederationOptions& options) {
  if (!options.data.empty()) {
    if (options.words != RelationshipWords{} || !options.bundle_path.empty()) {
      return Error(Code::kInvalidArgument,
                   "-data stands alone: the file says everything about its relationships");
    }
    const auto relationships = RelationshipsOfFile(options.data);
    return relationships.ok() ? Send(options, *relationships)
                              : RefuseFile(relationships.error(), options.authority.format);
  }
  auto relationship = RelationshipFromWords(options.words, "-");
  if (!relationship.ok()) {
    return std::move(relationship).error();
  }
  if (!options.bundle_path.empty()) {
    auto bundle =
        ReadBundleFile(options.bundle_path, options.bundle_format, relationship->trust_domain());
    if (!bundle.ok()) {
      return RefuseFile(bundle.error(), options.authority.format);
    }
    *relationship->mutable_trust_domain_bundle() = *std::move(bundle);
  }
  return Send(options, {*std::move(relationship)});
}

Result<ExitCode> List(const FederationOptions& options) {
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  trustdomain::ListFederationRelationshipsRequest request;
  request.set_page_size(kPageSize);
  const auto list = FetchPages(*client, &TrustDomainStub::ListFederationRelationships, request);
  if (!list.ok()) {
    return list.error();
  }
  if (options.authority.format == OutputFormat::kJson) {
    PrintMessageJson(*list);
    return ExitCode::kOk;
  }
  std::string text =
      "Found " + Counted(static_cast<std::size_t>(list->federation_relationships_size()),
                         "federation relationship",
                         "federation relationships");
  for (const auto& relationship : list->federation_relationships()) {
    text += "\n\n" + Describe(relationship);
    text.pop_back();
  }
  PrintLine(text);
  return ExitCode::kOk;
}

Result<ExitCode> Show(const FederationOptions& options) {
  const auto name = WireTrustDomain("-trustDomain", options.id);
  if (!name.ok()) {
    return name.error();
  }
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  trustdomain::GetFederationRelationshipRequest request;
  request.set_trust_domain(*name);
  auto relationship = client->Call(&TrustDomainStub::GetFederationRelationship, request);
  if (!relationship.ok()) {
    return std::move(relationship).error().Wrap("trust domain " + *name);
  }
  if (options.authority.format == OutputFormat::kJson) {
    PrintMessageJson(*relationship);
    return ExitCode::kOk;
  }
  std::string text = fmt::format("Found a federation relationship with trust domain {}:\n\n{}",
                                 *name,
                                 Describe(*relationship));
  text.pop_back();
  PrintLine(text);
  return ExitCode::kOk;
}

Result<ExitCode> Delete(const FederationOptions& options) {
  const auto name = WireTrustDomain("-id", options.id);
  if (!name.ok()) {
    return name.error();
  }
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  trustdomain::BatchDeleteFederationRelationshipRequest request;
  request.add_trust_domains(*name);
  const auto reply = client->Call(&TrustDomainStub::BatchDeleteFederationRelationship, request);
  if (!reply.ok()) {
    return reply.error();
  }
  const std::string what = "delete the federation with " + *name;
  if (reply->results_size() != 1) {
    return Error(Code::kInternal, what + ": the authority did not say what came of it");
  }
  const auto& status = reply->results(0).status();
  if (status.code() != 0) {
    return Error(static_cast<Code>(status.code()), what + ": " + ForeignText(status.message()));
  }
  if (options.authority.format == OutputFormat::kJson) {
    PrintMessageJson(*reply);
  } else {
    PrintLine("federation relationship deleted.");
  }
  return ExitCode::kOk;
}

Result<ExitCode> Refresh(const FederationOptions& options) {
  const auto name = WireTrustDomain("-id", options.id);
  if (!name.ok()) {
    return name.error();
  }
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  trustdomain::RefreshBundleRequest request;
  request.set_trust_domain(*name);
  auto refreshed = client->Call(&TrustDomainStub::RefreshBundle, request);
  if (!refreshed.ok()) {
    return std::move(refreshed).error().Wrap("refresh the bundle of " + *name);
  }
  if (options.authority.format == OutputFormat::kJson) {
    spire::api::types::Status status;
    status.set_message("OK");
    PrintMessageJson(status);
  } else {
    PrintLine("Bundle refreshed");
  }
  return ExitCode::kOk;
}

void AddChange(CLI::App& command, RelationshipUse use, const std::shared_ptr<Action>& action) {
  auto options = std::make_shared<FederationOptions>();
  options->use = use;
  command.add_option("--trustDomain",
                     options->words.trust_domain,
                     "Trust domain to federate with, such as other.example");
  command.add_option(
      "--bundleEndpointURL", options->words.endpoint_url, "https URL where it serves its bundle");
  command
      .add_option("--bundleEndpointProfile",
                  options->words.endpoint_profile,
                  "How that server proves who it is: https_web, by a certificate of the web, or "
                  "https_spiffe, by an X509-SVID")
      ->option_text("https_web|https_spiffe");
  command.add_option("--endpointSpiffeID",
                     options->words.endpoint_id,
                     "SPIFFE ID of that server, for https_spiffe");
  command.add_option("--trustDomainBundlePath",
                     options->bundle_path,
                     "File with the first bundle, or - for standard input: https_spiffe needs one "
                     "to begin with");
  AddBundleFormat(command, "--trustDomainBundleFormat", options->bundle_format);
  command.add_option("--data",
                     options->data,
                     "JSON file with relationships instead of flags, or - for standard input");
  FinishCommand(command, options, Change, action);
}

void AddFederationChanges(CLI::App& federation, const std::shared_ptr<Action>& action) {
  CLI::App* create =
      federation.add_subcommand("create", "Begin to fetch a foreign trust domain's bundle");
  create->footer(
      "Examples:\n"
      "  credence federation create -trustDomain other.example -bundleEndpointProfile https_web "
      "\\\n"
      "      -bundleEndpointURL https://other.example/bundle.json\n"
      "  credence federation create -trustDomain other.example -bundleEndpointProfile https_spiffe "
      "\\\n"
      "      -bundleEndpointURL https://spire.other.example:8443 \\\n"
      "      -endpointSpiffeID spiffe://other.example/spire/server \\\n"
      "      -trustDomainBundlePath other.json -trustDomainBundleFormat spiffe\n"
      "  credence federation create -data federation.json\n"
      "A file holds {\"federationRelationships\": [{\"trustDomain\": \"other.example\",\n"
      "    \"bundleEndpointURL\": \"https://other.example/bundle.json\",\n"
      "    \"bundleEndpointProfile\": \"https_web\"}]}");
  AddChange(*create, RelationshipUse::kCreate, action);

  CLI::App* update =
      federation.add_subcommand("update", "Replace where a foreign bundle comes from");
  update->footer(
      "Examples:\n"
      "  credence federation update -trustDomain other.example -bundleEndpointProfile https_web "
      "\\\n"
      "      -bundleEndpointURL https://new.other.example/bundle.json\n"
      "Without a bundle, the one that is held stays.");
  AddChange(*update, RelationshipUse::kUpdate, action);

  auto options = std::make_shared<FederationOptions>();
  CLI::App* remove =
      federation.add_subcommand("delete", "End a relationship and delete the bundle");
  remove->footer(
      "Examples:\n"
      "  credence federation delete -id spiffe://other.example\n"
      "While entries federate with it, say first what becomes of them:\n"
      "  credence bundle delete -id spiffe://other.example -mode dissociate");
  remove->add_option("--id", options->id, "Trust domain, such as spiffe://other.example")
      ->required();
  FinishCommand(*remove, options, Delete, action);
}

void AddFederationReaders(CLI::App& federation, const std::shared_ptr<Action>& action) {
  auto options = std::make_shared<FederationOptions>();
  CLI::App* list = federation.add_subcommand("list", "List the relationships");
  list->footer("Examples:\n  credence federation list\n  credence federation list -output json");
  FinishCommand(*list, options, List, action);

  options = std::make_shared<FederationOptions>();
  CLI::App* show = federation.add_subcommand("show", "Show one relationship");
  show->footer("Examples:\n  credence federation show -trustDomain other.example");
  show->add_option("--trustDomain", options->id, "Trust domain, such as other.example")->required();
  FinishCommand(*show, options, Show, action);

  options = std::make_shared<FederationOptions>();
  CLI::App* refresh = federation.add_subcommand("refresh", "Fetch a foreign bundle now");
  refresh->footer("Examples:\n  credence federation refresh -id spiffe://other.example");
  refresh->add_option("--id", options->id, "Trust domain, such as spiffe://other.example")
      ->required();
  FinishCommand(*refresh, options, Refresh, action);
}

}  // namespace

void AddFederationCommand(CLI::App& app, const std::shared_ptr<Action>& action) {
  CLI::App* federation = app.add_subcommand(
      "federation", "Foreign trust domains whose bundles the authority fetches by itself");
  federation->footer(
      "Examples:\n"
      "  credence federation list\n"
      "  credence federation create -trustDomain other.example -bundleEndpointProfile https_web "
      "\\\n"
      "      -bundleEndpointURL https://other.example/bundle.json\n"
      "`credence bundle set` takes a bundle by hand.");
  federation->require_subcommand(1);
  AddFederationChanges(*federation, action);
  AddFederationReaders(*federation, action);
}

}  // namespace credence
