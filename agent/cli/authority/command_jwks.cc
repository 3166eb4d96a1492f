#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "agent/authority/keys/issuer.h"
#include "agent/cli/authority/asking_command.h"
#include "agent/cli/authority/authority_flags.h"
#include "agent/cli/authority/server_output.h"
#include "agent/cli/commands.h"

#include "spire/api/server/bundle/v1/bundle.grpc.pb.h"

namespace credence {
namespace {

using BundleStub = spire::api::server::bundle::v1::Bundle::Stub;

struct JwksOptions {
  AuthorityFlags authority;
  bool spiffe = false;
};

Result<ExitCode> Jwks(const JwksOptions& options) {
  const auto client = options.authority.Connect();
  if (!client.ok()) {
    return client.error();
  }
  const auto bundle = client->Call(&BundleStub::GetBundle, {});
  if (!bundle.ok()) {
    return bundle.error();
  }
  const auto printed =
      PrintJsonText(options.spiffe ? SpiffeBundleDocument(*bundle) : OidcKeySet(*bundle));
  return printed.ok() ? Result<ExitCode>(ExitCode::kOk) : Result<ExitCode>(printed.error());
}

}  // namespace

void AddJwksCommand(CLI::App& app, const std::shared_ptr<Action>& action) {
  auto options = std::make_shared<JwksOptions>();
  CLI::App* command =
      app.add_subcommand("jwks", "Print the keys that verify JWT-SVIDs, as a JWK Set");
  command->footer(
      "Examples:\n"
      "  credence jwks             for vendors that take the keys inline\n"
      "  credence jwks --spiffe    the SPIFFE bundle document, X.509 authorities included");
  command->add_flag("--spiffe", options->spiffe, "The SPIFFE bundle document instead");
  FinishCommand(*command, options, Jwks, action);
}

}  // namespace credence
