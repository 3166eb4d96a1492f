#pragma once

#include <string>
#include <vector>

#include "agent/cli/authority/authority_flags.h"
#include "agent/cli/exit_code.h"
#include "agent/cli/setup/questions.h"
#include "agent/config/resources.h"
#include "base/core/result.h"
#include "plugins/contract/destination_adapter.h"

namespace credence {

/// The flags of `credence setup`.
struct SetupOptions {
  AuthorityFlags authority;
  std::string adapter;
  std::string name;
  std::string spiffe_id;
  std::string issuer;
  std::string resources;
  std::vector<std::string> selectors;
  std::vector<std::string> settings;
  bool yes = false;
  bool force = false;
};

/// One run of `credence setup`: what is known so far.
class SetupRun {
 public:
  /// `options` and the adapters outlive it; `adapter` is one of `adapters`.
  SetupRun(const SetupOptions& options, const DestinationAdapter& adapter, AdapterList adapters);

  /// Prints what to enter at the vendor, then writes the resource file. Asks on a terminal, unless
  /// -yes or JSON says not to. Errors: kInvalidArgument for a bad or missing value; those of the
  /// authority, if one was named; kCancelled; kAlreadyExists.
  Result<ExitCode> Run();

 private:
  bool json() const { return options_.authority.format == OutputFormat::kJson; }

  Result<void> ReadFlags();
  /// The keys and perhaps the issuer, from the authority if one answers.
  Result<void> AskAuthority();
  Result<void> FindFacts();
  /// A value of the command line, or one that is asked for.
  Result<std::string> Need(std::string value, const char* flag, const char* question) const;
  /// Asks for what is missing among the settings that are in the setup text, or that are not.
  Result<void> AskSettings(bool in_setup);
  Result<void> AskSetting(const SettingInfo& setting);
  /// Why the adapter refuses this value; "" if it does not.
  std::string Problem(const std::string& name, const std::string& value) const;
  std::vector<std::string> Missing() const;
  void PrintSetup() const;
  void PrintAll(const std::string& path, bool written) const;
  Result<ExitCode> Write();

  const SetupOptions& options_;
  const DestinationAdapter& adapter_;
  AdapterList adapters_;
  bool interactive_;
  Questions questions_{STDIN_FILENO};
  Settings settings_;
  SetupFacts facts_;
  /// Why there are no keys.
  std::string no_keys_;
  SetupText text_;
};

}  // namespace credence
