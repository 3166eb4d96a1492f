#include "agent/identity/identity_service.h"

#include <set>
#include <utility>

#include "base/core/log.h"
#include "base/core/wall_clock.h"

namespace credence {
namespace {

bool SameSet(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::set(a.begin(), a.end()) == std::set(b.begin(), b.end());
}

}  // namespace

IdentityService::IdentityService(asio::any_io_executor executor,
                                 asio::thread_pool& pool,
                                 ServerClient& server,
                                 const Clock& clock,
                                 Options options,
                                 std::function<void(SharedBundle)> bundle_changed)
    : server_(server),
      bundle_changed_(std::move(bundle_changed)),
      store_(executor),
      jwt_svids_(
          executor,
          clock,
          [this](std::string entry_id, std::vector<std::string> audience, Deadline deadline) {
            return NewJwtSvid(std::move(entry_id), std::move(audience), deadline);
          },
          options.jwt),
      signer_(store_, server, pool, executor, clock, options.x509),
      synchronizer_(executor,
                    store_,
                    server,
                    clock,
                    {.trust_domain = options.trust_domain, .interval = options.sync_interval},
                    [this] { Synced(); }),
      tasks_(executor) {}

void IdentityService::Start() {
  tasks_.Spawn("synchronize", synchronizer_.Run());
  tasks_.Spawn("follow the server", synchronizer_.FollowServer());
  tasks_.Spawn("sign X509-SVIDs", signer_.Run());
  tasks_.Spawn("watch the clock", WatchClock());
  jwt_svids_.Start();
}

Task<void> IdentityService::Stop() {
  co_await tasks_.Stop();
  co_await jwt_svids_.Stop();
}

Task<Result<JwtSvid>> IdentityService::NewJwtSvid(std::string entry_id,
                                                  std::vector<std::string> audience,
                                                  Deadline deadline) {
  const auto entry = store_.entries()->find(entry_id);
  if (entry == store_.entries()->end()) {
    co_return Error(Code::kNotFound, "registration entry " + entry_id + " is gone");
  }
  const SpiffeId expected = entry->second.spiffe_id;
  auto svid = co_await server_.NewJwtSvid(std::move(entry_id), audience, deadline);
  if (svid.ok() && svid->id != expected) {
    co_return Error(
        Code::kInternal,
        "the server signed a JWT-SVID for " + svid->id.text() + ", not " + expected.text());
  }
  if (svid.ok() && !SameSet(svid->audience, audience)) {
    co_return Error(Code::kInternal, "the server signed a JWT-SVID for another audience");
  }
  co_return svid;
}

Task<void> IdentityService::WatchClock() {
  constexpr std::chrono::hours kUntilItIsSet{24 * 365};
  while (true) {
    co_await SleepOnWallClock(kUntilItIsSet);
    LogInfo("The clock was set, or the machine was suspended: looking at all schedules again");
    signer_.Wake();
    jwt_svids_.Wake();
    synchronizer_.SyncSoon();
  }
}

void IdentityService::Synced() {
  signer_.OnChange();
  jwt_svids_.Prune(*store_.entries(), store_.own_bundle()->jwt_authorities);
  if (store_.own_bundle() != last_bundle_) {
    last_bundle_ = store_.own_bundle();
    bundle_changed_(last_bundle_);
  }
}

}  // namespace credence
