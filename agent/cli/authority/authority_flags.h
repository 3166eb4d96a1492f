#pragma once

#include <string>

#include "agent/cli/authority/authority_client.h"
#include "agent/cli/exit_code.h"
#include "agent/cli/output.h"

namespace CLI {
class App;
}  // namespace CLI

namespace credence {

/// Flags of every command that asks the authority.
struct AuthorityFlags {
  std::string socket;
  int timeout_seconds = 30;
  OutputFormat format = OutputFormat::kHuman;

  /// Adds --socketPath, --timeout and --output, and lets all options that `command` has now take
  /// UTF-8 only: call it last.
  void AddTo(CLI::App& command);
  /// Errors: as FindAuthoritySocket and AuthorityClient::Connect.
  Result<AuthorityClient> Connect() const;
};

/// The exit code of `outcome`; an error is said first. What does not exist is a failure here, not a
/// denial.
ExitCode Conclude(const Result<ExitCode>& outcome, OutputFormat format);
/// Says what is wrong with a file that a command was given.
ExitCode RefuseFile(const Error& error, OutputFormat format);

}  // namespace credence
