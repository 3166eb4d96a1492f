#include "agent/cli/delivered.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/core/secret_bytes.h"

namespace credence {
namespace {

using credential::v1::GetCredentialResponse;

constexpr std::chrono::seconds kFirstRetry{2};
constexpr std::chrono::seconds kLongestRetry{60};
constexpr std::chrono::seconds kLeastRefresh{1};

std::string FillIn(std::string value, const std::string& folder) {
  constexpr std::string_view kMark = "{{dir}}";
  for (std::size_t at = value.find(kMark); at != std::string::npos;
       at = value.find(kMark, at + folder.size())) {
    value.replace(at, kMark.size(), folder);
  }
  return value;
}

bool VariablesDiffer(const GetCredentialResponse& before, const GetCredentialResponse& after) {
  const auto& old_ones = before.delivery().env();
  const auto& new_ones = after.delivery().env();
  return std::any_of(new_ones.begin(), new_ones.end(), [&](const auto& variable) {
    const auto old = old_ones.find(variable.first);
    return old == old_ones.end() || old->second != variable.second;
  });
}

}  // namespace

Delivered::Delivered(std::string destination, Credential credential)
    : destination_(std::move(destination)),
      credential_(std::move(credential)),
      ask_at_(Deadline::After(kLeastRefresh)),
      backoff_({.initial = kFirstRetry, .cap = kLongestRetry}) {
  AskWhenTheAgentSays();
}

std::chrono::nanoseconds Delivered::Left() const {
  const std::chrono::nanoseconds pause = ask_at_.Remaining();
  return refresh_at_ ? std::min<std::chrono::nanoseconds>(pause, *refresh_at_ - SystemClock().Now())
                     : pause;
}

void Delivered::AskWhenTheAgentSays() {
  const WallTime now = SystemClock().Now();
  refresh_at_ = std::max<WallTime>(FromUnixSeconds(credential_->refresh_at()), now + kLeastRefresh);
  ask_at_ = Deadline::After(*refresh_at_ - now);
}

void Delivered::AskAfter(std::chrono::nanoseconds pause) {
  refresh_at_.reset();
  ask_at_ = Deadline::After(pause);
}

bool Delivered::Renew(Credential credential) {
  const bool differ = VariablesDiffer(*credential_, *credential);
  const bool newer = credential->expires_at() > credential_->expires_at();
  credential_ = std::move(credential);
  if (newer) {
    backoff_.Reset();
    AskWhenTheAgentSays();
  } else {
    PutOff();
  }
  return differ && !std::exchange(variables_differ_, true);
}

std::chrono::milliseconds Delivered::PutOff() {
  const auto wait = backoff_.Next();
  AskAfter(wait);
  return wait;
}

void Delivered::AskAgainSoon() {
  AskAfter(kLeastRefresh);
}

SecretVariables::~SecretVariables() {
  for (auto& [name, value] : values) {
    WipeString(value);
  }
}

Result<SecretVariables> VariablesOf(const std::vector<Delivered>& all,
                                    const PrivateFolder* folder) {
  SecretVariables variables;
  std::map<std::string, std::string> set_by;
  for (const Delivered& delivered : all) {
    const std::string own_folder =
        folder == nullptr ? "" : folder->path() + "/" + delivered.destination();
    for (const auto& [name, value] : delivered.credential().delivery().env()) {
      if (const auto [other, fresh] = set_by.emplace(name, delivered.destination()); !fresh) {
        return Error(
            Code::kInvalidArgument,
            fmt::format("{} and {} both set {}: run them one inside the other, or one at a time",
                        other->second,
                        delivered.destination(),
                        name));
      }
      variables.values[name] = FillIn(value, own_folder);
    }
  }
  return variables;
}

Result<void> WriteFiles(const PrivateFolder& folder, const Delivered& delivered) {
  for (const auto& file : delivered.credential().delivery().files()) {
    auto written = folder.Write(
        delivered.destination() + "/" + file.path(), file.content(), file.mode() & 0777U);
    if (!written.ok()) {
      return written;
    }
  }
  return Ok();
}

}  // namespace credence
