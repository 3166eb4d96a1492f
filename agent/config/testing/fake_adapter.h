#pragma once

#include <memory>
#include <string>
#include <utility>

#include "plugins/contract/destination_adapter.h"

namespace credence {

/// A destination that refuses every exchange.
class FakeDestination final : public Destination {
 public:
  const SvidNeeds& svid_needs() const override { return needs_; }
  const std::vector<std::string>& parameters() const override { return parameters_; }
  Task<ExchangeOutcome> Exchange(JwtSvid /*svid*/,
                                 Settings /*parameters*/,
                                 Deadline /*deadline*/) override {
    co_return ExchangeOutcome{};
  }
  Task<ExchangeOutcome> Renew(SharedCredential /*credential*/, Deadline /*deadline*/) override {
    co_return ExchangeOutcome{};
  }
  Delivery Deliver(const Credential& /*credential*/, WallTime /*expires_at*/) const override {
    return {};
  }
  Task<Result<void>> Revoke(SharedCredential /*credential*/, Deadline /*deadline*/) override {
    co_return Ok();
  }

 private:
  SvidNeeds needs_;
  std::vector<std::string> parameters_;
};

/// An adapter that wants an `address` starting with "https://" and knows `role`.
class FakeAdapter final : public DestinationAdapter {
 public:
  explicit FakeAdapter(std::string name) : name_(std::move(name)) {}

  std::string_view name() const override { return name_; }

  Result<std::unique_ptr<Destination>> Configure(const Settings& settings) const override {
    std::string mistakes;
    const auto address = settings.find("address");
    if (address == settings.end()) {
      mistakes += "address is missing: expected an https URL\n";
    } else if (!address->second.starts_with("https://")) {
      mistakes += "address: expected an https URL\n";
    }
    for (const auto& [key, value] : settings) {
      if (key != "address" && key != "role") {
        mistakes += key + ": unknown setting\n";
      }
    }
    if (!mistakes.empty()) {
      return Error(Code::kInvalidArgument, mistakes);
    }
    return std::unique_ptr<Destination>(std::make_unique<FakeDestination>());
  }

 private:
  std::string name_;
};

}  // namespace credence
