#include "agent/authority/services/serving_identity.h"

#include <algorithm>
#include <utility>
#include <variant>

#include <boost/asio/experimental/awaitable_operators.hpp>

#include "agent/authority/keys/issuer.h"
#include "base/core/log.h"
#include "base/core/wall_clock.h"

namespace credence {
namespace {

constexpr std::chrono::seconds kLife{3600};
constexpr std::chrono::seconds kRetry{10};

}  // namespace

ServingIdentity::ServingIdentity(asio::any_io_executor executor,
                                 asio::thread_pool& pool,
                                 AuthorityState& state,
                                 const Access& access,
                                 const Clock& clock)
    : pool_(pool), state_(state), access_(access), clock_(clock), tasks_(std::move(executor)) {}

Result<ServingIdentity::Contexts> ServingIdentity::Make(
    const SigningKeySet& keys,
    const TrustDomain& trust_domain,
    std::function<bool(const std::vector<std::string>&)> accepts_client,
    WallTime now) {
  auto key = PrivateKey::Generate(KeyType::kEcP256);
  if (!key.ok()) {
    return std::move(key).error();
  }
  auto id = SpiffeId::FromParts(trust_domain.name(), "/spire/server");
  if (!id.ok()) {
    return std::move(id).error();
  }
  const auto svid =
      SignX509Svid(keys, X509SvidContent{*std::move(id), key->PublicKey(), {}, kLife}, now);
  if (!svid.ok()) {
    return svid.error();
  }
  auto api = MakeTlsServerContext(
      TlsServerOptions{svid->certificates, *key, {"h2"}, std::move(accepts_client)});
  if (!api.ok()) {
    return std::move(api).error();
  }
  auto web =
      MakeTlsServerContext(TlsServerOptions{svid->certificates, *key, {"http/1.1"}, nullptr});
  if (!web.ok()) {
    return std::move(web).error();
  }
  return Contexts{*std::move(api), *std::move(web), now + (svid->not_after - now) / 2};
}

std::function<bool(const std::vector<std::string>&)> ServingIdentity::Judge() const {
  return [&access = access_](const std::vector<std::string>& chain) {
    return access.AcceptsClient(chain);
  };
}

Result<void> ServingIdentity::Prepare() {
  auto made = Make(*state_.keys().value(), state_.trust_domain(), Judge(), clock_.Now());
  if (!made.ok()) {
    return std::move(made).error().Wrap("the authority's own X509-SVID");
  }
  contexts_ = *std::move(made);
  return Ok();
}

void ServingIdentity::Start() {
  tasks_.Spawn("renew the authority's own SVID", RenewInTime());
}

Task<void> ServingIdentity::Stop() {
  co_await tasks_.Stop();
}

Task<void> ServingIdentity::RenewInTime() {
  using boost::asio::experimental::awaitable_operators::operator||;
  std::uint64_t seen = state_.keys().version();
  auto wait_until = contexts_.renew_at;
  while (true) {
    const auto left =
        std::max<std::chrono::nanoseconds>(wait_until - clock_.Now(), std::chrono::seconds(1));
    co_await (SleepOnWallClock(left) || state_.keys().Changed(seen));
    const bool new_keys = state_.keys().version() != seen;
    if (!new_keys && clock_.Now() < wait_until) {
      continue;
    }
    seen = state_.keys().version();
    auto make = [keys = state_.keys().value(),
                 trust_domain = state_.trust_domain(),
                 judge = Judge(),
                 now = clock_.Now()] { return Make(*keys, trust_domain, judge, now); };
    auto made = co_await RunOn(pool_, std::move(make));
    if (made.ok()) {
      contexts_ = *std::move(made);
      wait_until = contexts_.renew_at;
    } else {
      LogError("The authority's own SVID could not be renewed", {{"error", made.error()}});
      wait_until = clock_.Now() + kRetry;
    }
  }
}

}  // namespace credence
