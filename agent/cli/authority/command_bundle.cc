#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "agent/authority/keys/issuer.h"
#include "agent/cli/authority/asking_command.h"
#include "agent/cli/authority/authority_flags.h"
#include "agent/cli/authority/bundle_input.h"
#include "agent/cli/authority/server_output.h"
#include "agent/cli/authority/server_pages.h"
#include "agent/cli/authority/wire_types.h"
#include "agent/cli/commands.h"
#include "base/crypto/certificate.h"
#include "base/rpc/foreign_text.h"

#include "spire/api/server/bundle/v1/bundle.grpc.pb.h"

namespace credence {
namespace {

using BundleStub = spire::api::server::bundle::v1::Bundle::Stub;
using spire::api::server::bundle::v1::BatchDeleteFederatedBundleRequest;
using spire::api::server::bundle::v1::BatchSetFederatedBundleRequest;
using spire::api::server::bundle::v1::GetBundleRequest;
using spire::api::server::bundle::v1::GetFederatedBundleRequest;
using spire::api::server::bundle::v1::ListFederatedBundlesRequest;
using spire::api::types::Bundle;

constexpr int kPageSize = 100;

struct BundleOptions {
  AuthorityFlags authority;
  BundleFormat format = BundleFormat::kPem;
  /// Trust domain.
  std::string id;
  /// "" for standard input.
  std::string path;
  BatchDeleteFederatedBundleRequest::Mode mode = BatchDeleteFederatedBundleRequest::RESTRICT;
};

Result<void> PrintBundle(const Bundle& bundle, BundleFormat format) {
  if (format == BundleFormat::kSpiffe) {
    return PrintJsonText(SpiffeBundleDocument(bundle));
  }
  std::string text;
  for (const auto& authority : bundle.x509_authorities()) {
    text += CertificateToPem(authority.asn1());
  }
  if (!text.empty()) {
    // PrintLine ends it.
    text.pop_back();
    PrintLine(text);
  }
  return Ok();
}

/// One bundle that the server answered, in the form that was asked for.
Result<ExitCode> Present(const Result<Bundle>& bundle, const BundleOptions& options) {
  if (!bundle.ok()) {
    return bundle.error();
  }
  if (options.authority.format == OutputFormat::kJson) {
    PrintMessageJson(*bundle);
    return ExitCode::kOk;
  }
  const auto printed = PrintBundle(*bundle, options.format);
  return printed.ok() ? Result<ExitCode>(ExitCode::kOk) : Result<ExitCode>(printed.error());
}

Result<ExitCode> Show(const BundleOptions& options) {
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  return Present(client->Call(&BundleStub::GetBundle, GetBundleRequest()), options);
}

Result<ExitCode> ListOne(const BundleOptions& options) {
  auto name = WireTrustDomain("-id", options.id);
  if (!name.ok()) {
    return std::move(name).error();
  }
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  GetFederatedBundleRequest request;
  request.set_trust_domain(*name);
  auto bundle = client->Call(&BundleStub::GetFederatedBundle, request);
  if (!bundle.ok()) {
    return std::move(bundle).error().Wrap("trust domain " + *name);
  }
  return Present(bundle, options);
}

Result<ExitCode> List(const BundleOptions& options) {
  if (!options.id.empty()) {
    return ListOne(options);
  }
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  ListFederatedBundlesRequest request;
  request.set_page_size(kPageSize);
  const auto list = FetchPages(*client, &BundleStub::ListFederatedBundles, request);
  if (!list.ok()) {
    return list.error();
  }
  if (options.authority.format == OutputFormat::kJson) {
    PrintMessageJson(*list);
    return ExitCode::kOk;
  }
  const std::string stars(40, '*');
  for (const char* gap = ""; const auto& bundle : list->bundles()) {
    PrintLine(fmt::format("{}{}\n* {}\n{}", gap, stars, ForeignText(bundle.trust_domain()), stars));
    if (auto printed = PrintBundle(bundle, options.format); !printed.ok()) {
      return std::move(printed).error();
    }
    gap = "\n";
  }
  return ExitCode::kOk;
}

/// The one result of a batch of one.
template <class Reply>
Result<ExitCode> PresentResult(const Result<Reply>& reply,
                               OutputFormat format,
                               const std::string& what,
                               const char* done) {
  if (!reply.ok()) {
    return reply.error();
  }
  if (reply->results_size() != 1) {
    return Error(Code::kInternal, what + ": the authority did not say what came of it");
  }
  const auto& status = reply->results(0).status();
  if (status.code() != 0) {
    return Error(static_cast<Code>(status.code()), what + ": " + ForeignText(status.message()));
  }
  if (format == OutputFormat::kJson) {
    PrintMessageJson(*reply);
  } else {
    PrintLine(done);
  }
  return ExitCode::kOk;
}

Result<ExitCode> Set(const BundleOptions& options) {
  auto name = WireTrustDomain("-id", options.id);
  if (!name.ok()) {
    return std::move(name).error();
  }
  auto bundle = ReadBundleFile(options.path.empty() ? "-" : options.path, options.format, *name);
  if (!bundle.ok()) {
    return RefuseFile(bundle.error(), options.authority.format);
  }
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  BatchSetFederatedBundleRequest request;
  *request.add_bundle() = *std::move(bundle);
  return PresentResult(client->Call(&BundleStub::BatchSetFederatedBundle, request),
                       options.authority.format,
                       "set the bundle of " + *name,
                       "bundle set.");
}

Result<ExitCode> Delete(const BundleOptions& options) {
  auto name = WireTrustDomain("-id", options.id);
  if (!name.ok()) {
    return std::move(name).error();
  }
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  BatchDeleteFederatedBundleRequest request;
  request.add_trust_domains(*name);
  request.set_mode(options.mode);
  return PresentResult(client->Call(&BundleStub::BatchDeleteFederatedBundle, request),
                       options.authority.format,
                       "delete the bundle of " + *name,
                       "bundle deleted.");
}

void AddBundleReaders(CLI::App& bundle, const std::shared_ptr<Action>& action) {
  auto options = std::make_shared<BundleOptions>();
  CLI::App* show = bundle.add_subcommand("show", "Show the bundle of the authority itself");
  show->footer(
      "Examples:\n  credence bundle show >bundle.pem\n"
      "  credence bundle show -format spiffe");
  AddBundleFormat(*show, "--format", options->format);
  FinishCommand(*show, options, Show, action);

  options = std::make_shared<BundleOptions>();
  CLI::App* list = bundle.add_subcommand("list", "List the bundles of foreign trust domains");
  list->footer(
      "Examples:\n  credence bundle list\n"
      "  credence bundle list -id spiffe://other.example -format spiffe");
  list->add_option("--id", options->id, "That of this trust domain alone");
  AddBundleFormat(*list, "--format", options->format);
  FinishCommand(*list, options, List, action);
}

void AddBundleWriters(CLI::App& bundle, const std::shared_ptr<Action>& action) {
  auto options = std::make_shared<BundleOptions>();
  CLI::App* set = bundle.add_subcommand("set", "Make or replace a foreign trust domain's bundle");
  set->footer(
      "Examples:\n  credence bundle set -id spiffe://other.example -path other.pem\n"
      "  credence bundle set -id spiffe://other.example -format spiffe <other.json");
  set->add_option("--id", options->id, "Trust domain, such as spiffe://other.example")->required();
  set->add_option("--path", options->path, "File with the bundle (default: standard input)");
  AddBundleFormat(*set, "--format", options->format);
  FinishCommand(*set, options, Set, action);

  options = std::make_shared<BundleOptions>();
  CLI::App* remove = bundle.add_subcommand("delete", "Delete a foreign trust domain's bundle");
  remove->footer(
      "Examples:\n  credence bundle delete -id spiffe://other.example\n"
      "  credence bundle delete -id spiffe://other.example -mode dissociate");
  remove->add_option("--id", options->id, "Trust domain, such as spiffe://other.example")
      ->required();
  static const std::map<std::string, BatchDeleteFederatedBundleRequest::Mode> kModes{
      {"restrict", BatchDeleteFederatedBundleRequest::RESTRICT},
      {"delete", BatchDeleteFederatedBundleRequest::DELETE},
      {"dissociate", BatchDeleteFederatedBundleRequest::DISSOCIATE}};
  remove
      ->add_option("--mode",
                   options->mode,
                   "Entries that federate with it: keep it from going (restrict, the default), go "
                   "too (delete), or stay without it (dissociate)")
      ->transform(CLI::CheckedTransformer(kModes).description(""))
      ->option_text("restrict|delete|dissociate");
  FinishCommand(*remove, options, Delete, action);
}

}  // namespace

void AddBundleCommand(CLI::App& app, const std::shared_ptr<Action>& action) {
  CLI::App* bundle = app.add_subcommand(
      "bundle", "Trust bundles: the keys that SVIDs of a trust domain are verified with");
  bundle->footer(
      "Examples:\n  credence bundle show >bundle.pem\n"
      "  credence bundle set -id spiffe://other.example -path other.pem");
  bundle->require_subcommand(1);
  AddBundleReaders(*bundle, action);
  AddBundleWriters(*bundle, action);
}

}  // namespace credence
