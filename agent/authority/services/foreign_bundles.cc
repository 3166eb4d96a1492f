#include "agent/authority/services/foreign_bundles.h"

#include <utility>

#include <fmt/format.h>

#include "agent/authority/services/federation_batches.h"

namespace credence {

using spire::api::types::Bundle;

ForeignBundles::ForeignBundles(asio::any_io_executor executor,
                               AuthorityState& state,
                               const Clock& clock,
                               FederationOptions options)
    : state_(state),
      clock_(clock),
      client_(
          std::move(executor),
          clock,
          std::move(options),
          [this](const TrustDomain& trust_domain) { return Find(trust_domain); },
          [this](ForeignBundleEndpoint endpoint, Bundle bundle) {
            return Store(std::move(endpoint), std::move(bundle));
          }) {}

void ForeignBundles::Start() {
  client_.SetEndpoints(ForeignBundleEndpoints(state_.tables()));
}

Task<void> ForeignBundles::Stop() {
  return client_.Stop();
}

Task<Result<void>> ForeignBundles::Write(AuthorityState::Planner plan) {
  AuthorityState::Planner followed =
      [this,
       plan = std::move(plan)](const AuthorityTables& tables) -> Result<AuthorityState::Plan> {
    auto planned = plan(tables);
    if (planned.ok()) {
      planned->apply = [this, apply = std::move(planned->apply)](AuthorityTables& changed) {
        apply(changed);
        client_.SetEndpoints(ForeignBundleEndpoints(changed));
      };
    }
    return planned;
  };
  auto written = co_await state_.Write(std::move(followed));
  co_return written;
}

Task<Result<void>> ForeignBundles::Refresh(TrustDomain trust_domain) {
  const auto* relationship = FindRelationship(state_.tables(), trust_domain.name());
  if (relationship == nullptr) {
    co_return Error(Code::kNotFound,
                    fmt::format("there is no federation with {}", trust_domain.name()));
  }
  auto endpoint = ParseFederationRelationship(*relationship);
  if (!endpoint.ok()) {
    co_return std::move(endpoint).error();
  }
  auto polled = co_await client_.Poll(*std::move(endpoint));
  if (!polled.ok()) {
    co_return std::move(polled).error();
  }
  co_return Ok();
}

std::optional<Bundle> ForeignBundles::Find(const TrustDomain& trust_domain) const {
  if (trust_domain == state_.trust_domain()) {
    return state_.Bundle();
  }
  const auto found = state_.tables().federation.find(trust_domain.name());
  if (found == state_.tables().federation.end() ||
      !found->second.relationship().has_trust_domain_bundle()) {
    return std::nullopt;
  }
  return found->second.relationship().trust_domain_bundle();
}

Task<Result<void>> ForeignBundles::Store(ForeignBundleEndpoint endpoint, Bundle bundle) {
  return state_.Write(
      PlanToKeepBundle(std::move(endpoint), std::move(bundle), ToUnixSeconds(clock_.Now())));
}

}  // namespace credence
