#include "agent/cli/authority/authority_flags.h"

#include <map>
#include <string_view>
#include <utility>

#include <CLI/CLI.hpp>

#include "agent/cli/find_socket.h"
#include "agent/config/hcl/utf8.h"

namespace credence {

void AuthorityFlags::AddTo(CLI::App& command) {
  command.add_option("--socketPath",
                     socket,
                     "Private socket of the authority or spire-server (default: "
                     "CREDENCE_AUTHORITY_SOCKET, then SPIRE_SERVER_PRIVATE_SOCKET, then that of "
                     "`credence up`)");
  command.add_option("--timeout", timeout_seconds, "Seconds to wait for each answer")
      ->check(CLI::Range(1, 600).description(""))
      ->capture_default_str();
  // "pretty" is what spire-server calls the first one.
  static const std::map<std::string, OutputFormat> kFormats{{"human", OutputFormat::kHuman},
                                                            {"pretty", OutputFormat::kHuman},
                                                            {"json", OutputFormat::kJson}};
  command.add_option("--output", format, "Output form: human, or json as spire-server writes it")
      ->transform(CLI::CheckedTransformer(kFormats, CLI::ignore_case).description(""))
      ->option_text("human|json");
  // They travel as texts of protobuf, which are UTF-8.
  const CLI::Validator utf8(
      [](std::string& text) {
        return hcl::FindInvalidUtf8(text) == std::string_view::npos
                   ? std::string()
                   : std::string("not valid UTF-8");
      },
      "");
  for (CLI::Option* option : command.get_options()) {
    option->check(utf8);
  }
}

Result<AuthorityClient> AuthorityFlags::Connect() const {
  auto path = FindAuthoritySocket(socket);
  if (!path.ok()) {
    return std::move(path).error();
  }
  return AuthorityClient::Connect(*std::move(path), std::chrono::seconds(timeout_seconds));
}

ExitCode Conclude(const Result<ExitCode>& outcome, OutputFormat format) {
  if (outcome.ok()) {
    return *outcome;
  }
  ReportError(outcome.error(), format);
  const Code code = outcome.error().code();
  return code == Code::kNotFound || code == Code::kFailedPrecondition ? ExitCode::kFailed
                                                                      : ExitCodeFor(code);
}

ExitCode RefuseFile(const Error& error, OutputFormat format) {
  ReportError(error, format);
  return ExitCode::kBadConfiguration;
}

}  // namespace credence
