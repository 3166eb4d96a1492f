#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/cli/private_folder.h"
#include "base/core/backoff.h"
#include "base/core/clock.h"
#include "base/core/deadline.h"
#include "base/core/result.h"

#include "credence/credential/v1/credential.pb.h"

namespace credence {

/// One destination's credential as the command of `credence exec` has it, and when to ask the agent
/// for the next.
class Delivered {
 public:
  using Credential = std::shared_ptr<const credential::v1::GetCredentialResponse>;

  Delivered(std::string destination, Credential credential);

  const std::string& destination() const { return destination_; }
  const credential::v1::GetCredentialResponse& credential() const { return *credential_; }
  /// How long until the agent should be asked for the next; 0 or less: now.
  std::chrono::nanoseconds Left() const;

  /// Takes what the agent answered. While that ends no later than what there is (the agent cannot
  /// get a new one now), the next question comes later and later. Returns whether this is the first
  /// time that a variable differs from the one the command started with.
  bool Renew(Credential credential);
  /// The next question comes later and later; returns after how long.
  std::chrono::milliseconds PutOff();
  /// The next question comes soon: this one was broken off.
  void AskAgainSoon();

 private:
  void AskWhenTheAgentSays();
  void AskAfter(std::chrono::nanoseconds pause);

  std::string destination_;
  Credential credential_;
  /// What the agent said, on the clock that it meant; nullopt while only `ask_at_` counts.
  std::optional<WallTime> refresh_at_;
  /// The same from when it said so, which holds if the clock is set back; or the end of a pause.
  Deadline ask_at_;
  Backoff backoff_;
  bool variables_differ_ = false;
};

/// Variables of a command, wiped at the end.
struct SecretVariables {
  std::map<std::string, std::string> values;

  SecretVariables() = default;
  SecretVariables(SecretVariables&&) noexcept = default;
  SecretVariables& operator=(SecretVariables&&) noexcept = delete;
  SecretVariables(const SecretVariables&) = delete;
  SecretVariables& operator=(const SecretVariables&) = delete;
  ~SecretVariables();
};

/// What the command's environment gets; "{{dir}}" is the destination's own folder in `folder`,
/// which is null if no destination has files. Errors: kInvalidArgument when two destinations set
/// one variable.
Result<SecretVariables> VariablesOf(const std::vector<Delivered>& all, const PrivateFolder* folder);

/// Writes the credential's files into the destination's own folder. Errors: as
/// PrivateFolder::Write.
Result<void> WriteFiles(const PrivateFolder& folder, const Delivered& delivered);

}  // namespace credence
