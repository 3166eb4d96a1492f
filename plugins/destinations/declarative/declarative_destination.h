#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/core/clock.h"
#include "base/http/client.h"
#include "plugins/contract/destination_adapter.h"
#include "plugins/destinations/declarative/adapter_file.h"
#include "plugins/destinations/declarative/answer_reader.h"
#include "plugins/destinations/declarative/setting_values.h"

namespace credence {

/// Runs the steps of an adapter file for one configured destination. All requests go to the base
/// URL of its settings.
class DeclarativeDestination final : public Destination {
 public:
  DeclarativeDestination(std::shared_ptr<const AdapterFile> file,
                         CheckedValues settings,
                         HttpClient& client,
                         const Clock& clock);

  const SvidNeeds& svid_needs() const override { return needs_; }
  const std::vector<std::string>& parameters() const override { return parameters_; }
  DestinationAddress address() const override;

  Task<ExchangeOutcome> Exchange(JwtSvid svid, Settings parameters, Deadline deadline) override;
  Task<ExchangeOutcome> Renew(SharedCredential credential, Deadline deadline) override;
  Delivery Deliver(const Credential& credential, WallTime expires_at) const override;
  Task<Result<void>> Revoke(SharedCredential credential, Deadline deadline) override;

 private:
  /// Sends one step's request with `values` and reads the answer.
  Task<StepAnswer> Run(const HttpStep& step,
                       NamedValues values,
                       Secrets secrets,
                       Deadline deadline);
  /// The settings and the fields of a credential, for templates.
  NamedValues ValuesFor(const Credential& credential, WallTime expires_at) const;
  HttpRequest MakeRequest(const HttpStep& step, const NamedValues& values) const;

  std::shared_ptr<const AdapterFile> file_;
  CheckedValues settings_;
  HttpClient& client_;
  const Clock& clock_;
  SvidNeeds needs_;
  std::vector<std::string> parameters_;
};

}  // namespace credence
