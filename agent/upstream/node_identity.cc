#include "agent/upstream/node_identity.h"

#include <algorithm>
#include <utility>
#include <variant>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <fmt/format.h>

#include "agent/upstream/bootstrap.h"
#include "base/core/log.h"
#include "base/core/wall_clock.h"
#include "base/crypto/certificate.h"

namespace credence {
namespace {

constexpr const char* kKeyNames[] = {"agent-svid-A", "agent-svid-B"};

struct StoredKey {
  PrivateKey key;
  std::string name;
};

/// The stored key that `leaf` (DER) was issued for; nullopt if there is none. Blocks.
Result<std::optional<StoredKey>> FindKeyOf(KeyManager& keys, const std::string& leaf) {
  auto public_key = PublicKeyOf(leaf);
  if (!public_key.ok()) {
    return std::move(public_key).error();
  }
  for (const std::string name : kKeyNames) {
    auto key = keys.Get(name);
    if (!key.ok()) {
      return std::move(key).error();
    }
    if (key->has_value() && (*key)->PublicKey() == *public_key) {
      return std::optional<StoredKey>(StoredKey{**key, name});
    }
  }
  return std::optional<StoredKey>();
}

/// What an operator can do about `error`; "" when there is nothing to say.
std::string_view Advice(const Error& error) {
  if (error.message().find("certificate verify failed") == std::string::npos) {
    return "";
  }
  return "the server's certificate does not lead to the trusted bundle; if the server's authority "
         "was replaced, "
         "provide the new bundle and remove agent-data.json";
}

/// IPv6 literals need brackets.
std::string Address(const std::string& host, std::uint16_t port) {
  const bool literal = host.find(':') != std::string::npos && host.front() != '[';
  return literal ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

}  // namespace

NodeIdentity::NodeIdentity(Options options,
                           asio::any_io_executor executor,
                           asio::thread_pool& pool,
                           RpcClient& rpc,
                           KeyManager& keys,
                           NodeAttestor& attestor,
                           const Clock& clock)
    : options_(std::move(options)),
      pool_(pool),
      rpc_(rpc),
      keys_(keys),
      attestor_(attestor),
      clock_(clock),
      news_(std::move(executor), 0) {}

Task<Result<void>> NodeIdentity::Start() {
  auto loaded = co_await Load();
  if (!loaded.ok() || channel_ != nullptr) {
    co_return loaded;
  }
  // A folder that cannot be written to is to be found before a one-time token is spent.
  auto stored = co_await Store();
  if (!stored.ok()) {
    co_return std::move(stored).error().Wrap("data_dir");
  }
  LogInfo("SVID is not found. Starting node attestation",
          {{"node_attestor", attestor_.name()},
           {"server", Address(options_.server_address, options_.server_port)}});
  co_return co_await AttestUntilDone();
}

Task<Result<void>> NodeIdentity::Load() {
  auto load = [folder = options_.data_dir] { return LoadAgentData(folder); };
  auto data = co_await RunOn(pool_, load);
  if (!data.ok()) {
    co_return std::move(data).error();
  }
  stored_others_ = data->others;
  if (!data->svid_chain.empty() && data->bundle.empty()) {
    co_return Error(
        Code::kFailedPrecondition,
        fmt::format(
            "{} holds an SVID but no bundle, which no agent writes; remove the file to attest anew",
            AgentDataPath(options_.data_dir)));
  }
  if (data->bundle.empty()) {
    LogInfo("Bundle is not found");
    co_return Ok();
  }
  TrustBundle bundle{options_.trust_domain, data->bundle, {}, 0};
  bundle_ = std::make_shared<const TrustBundle>(std::move(bundle));
  LogInfo("Bundle loaded", {{"trust_domain_id", options_.trust_domain.IdString()}});
  if (data->svid_chain.empty()) {
    co_return Ok();
  }
  const bool taken_up = co_await TakeUpStored(*std::move(data));
  co_return taken_up ? RebuildChannel() : Ok();
}

Task<bool> NodeIdentity::TakeUpStored(AgentData data) {
  auto chain = ParseX509SvidChain(data.svid_chain);
  if (!chain.ok()) {
    LogWarn("Stored SVID is not usable", {{"error", chain.error()}});
    co_return false;
  }
  if (!chain->id.MemberOf(options_.trust_domain)) {
    LogWarn("Stored SVID is of another trust domain", {{"spiffe_id", chain->id.text()}});
    co_return false;
  }
  if (clock_.Now() >= chain->not_after) {
    LogWarn("Stored SVID has expired",
            {{"spiffe_id", chain->id.text()}, {"expires_at", FormatRfc3339(chain->not_after)}});
    co_return false;
  }
  auto find = [keys = &keys_, leaf = chain->certificates.front()] {
    return FindKeyOf(*keys, leaf);
  };
  auto found = co_await RunOn(pool_, find);
  if (!found.ok() || !found->has_value()) {
    LogWarn("Key of the stored SVID is not found",
            {{"key_manager", keys_.name()}, {"error", found.ok() ? "" : found.error().ToString()}});
    co_return false;
  }
  key_ = (*found)->key;
  key_name_ = (*found)->name;
  reattestable_ = data.reattestable;
  schedule_.emplace(chain->not_before, chain->not_after);
  LogInfo("SVID loaded",
          {{"spiffe_id", chain->id.text()},
           {"expires_at", FormatRfc3339(chain->not_after)},
           {"reattestable", reattestable_}});
  svid_ = *std::move(chain);
  co_return true;
}

Task<Result<void>> NodeIdentity::AttestUntilDone() {
  Backoff backoff(options_.backoff);
  for (int attempt = 1;; ++attempt) {
    auto attested = co_await Attest();
    if (attested.issued.ok()) {
      co_return co_await Adopt(*std::move(attested.issued));
    }
    auto error = std::move(attested.issued).error();
    if (attested.final) {
      LogError("Node attestation failed", {{"error", error}});
      co_return std::move(error).Wrap("node attestation");
    }
    const auto wait = backoff.Next();
    LogWarn(error.code() == Code::kUnavailable ? "Server is not reachable; waiting to attest"
                                               : "Node attestation failed; waiting to try again",
            {{"server", Address(options_.server_address, options_.server_port)},
             {"error", error},
             {"advice", Advice(error)},
             {"attempt", attempt},
             {"retry_interval", FormatDuration(wait)}});
    co_await Sleep(wait);
  }
}

Task<Result<NodeIdentity::NewKey>> NodeIdentity::MakeKey() {
  // Never the name of the key in use: it stays good until the new SVID is here.
  std::string name = kKeyNames[key_name_ == kKeyNames[0] ? 1 : 0];
  auto make = [keys = &keys_, name]() -> Result<NewKey> {
    auto key = keys->Generate(name);
    if (!key.ok()) {
      return std::move(key).error();
    }
    auto csr = MakeCsr(*key, "");
    if (!csr.ok()) {
      return std::move(csr).error();
    }
    return NewKey{*std::move(key), name, *std::move(csr)};
  };
  co_return co_await RunOn(pool_, make);
}

Task<Result<RpcTrust>> NodeIdentity::ServerTrust() {
  if (bundle_ != nullptr) {
    co_return RpcTrust(TrustAuthorities{bundle_->x509_authorities});
  }
  auto read = [source = options_.bootstrap, domain = options_.trust_domain] {
    return BootstrapTrust(source, domain);
  };
  auto trust = co_await RunOn(pool_, read);
  if (trust.ok() && std::holds_alternative<TrustAnyChain>(*trust)) {
    LogWarn("Insecure bootstrap enabled; skipping server certificate verification");
  }
  co_return trust;
}

Result<SharedRpcChannel> NodeIdentity::ChannelTo(RpcTrust trust,
                                                 std::optional<RpcIdentity> identity) const {
  auto server_id = SpiffeId::FromParts(options_.trust_domain.name(), "/spire/server");
  if (!server_id.ok()) {
    return std::move(server_id).error();
  }
  return MakeTlsChannel(rpc_,
                        TlsTarget{Address(options_.server_address, options_.server_port),
                                  *std::move(server_id),
                                  std::move(trust),
                                  std::move(identity)});
}

Result<void> NodeIdentity::RebuildChannel() {
  auto channel = ChannelTo(TrustAuthorities{bundle_->x509_authorities},
                           RpcIdentity{svid_->certificates, *key_});
  if (!channel.ok()) {
    return std::move(channel).error().Wrap("connection to the server");
  }
  channel_ = *std::move(channel);
  return Ok();
}

void NodeIdentity::UpdateBundle(SharedBundle bundle) {
  if (bundle == nullptr || bundle->x509_authorities.empty()) {
    LogWarn("Bundle without X.509 authorities ignored",
            {{"trust_domain_id", options_.trust_domain.IdString()}});
    return;
  }
  const auto old = std::exchange(bundle_, std::move(bundle));
  if (IsTainted() && !std::exchange(tainted_, true)) {
    LogWarn("The authority of the agent SVID is tainted; rotating",
            {{"spiffe_id", svid_->id.text()}});
    news_.Set(news_.value() + 1);
  }
  const bool same = old != nullptr && old->x509_authorities == bundle_->x509_authorities;
  if (same || !svid_.has_value()) {
    return;
  }
  LogInfo("Bundle updated",
          {{"trust_domain_id", options_.trust_domain.IdString()},
           {"x509_authorities", bundle_->x509_authorities.size()}});
  if (auto rebuilt = RebuildChannel(); !rebuilt.ok()) {
    LogError("Updated bundle is not usable", {{"error", rebuilt.error()}});
    bundle_ = old;
    return;
  }
  unsaved_ = true;
  news_.Set(news_.value() + 1);
}

bool NodeIdentity::IsTainted() const {
  return svid_.has_value() && bundle_ != nullptr &&
         SignedByTainted(*svid_, *bundle_, std::max(clock_.Now(), svid_->not_before));
}

void NodeIdentity::ServerRefused(Refusal refusal, const SharedRpcChannel& channel) {
  const bool expected = attesting_ && refusal != Refusal::kAgentBanned;
  if (refusal == Refusal::kNone || refusal == refusal_ || channel != channel_ || expected) {
    return;
  }
  LogWarn("Server refuses this agent", {{"reason", RefusalText(refusal)}});
  refusal_ = refusal;
  news_.Set(news_.value() + 1);
}

Task<Result<void>> NodeIdentity::Store() {
  AgentData data;
  if (svid_.has_value()) {
    data.svid_chain = svid_->certificates;
  }
  if (bundle_ != nullptr) {
    data.bundle = bundle_->x509_authorities;
  }
  data.reattestable = reattestable_;
  data.others = stored_others_;
  // Cleared first: what changes during the write needs another one.
  unsaved_ = false;
  auto store = [folder = options_.data_dir, data = std::move(data)] {
    return StoreAgentData(folder, data);
  };
  auto stored = co_await RunOn(pool_, std::move(store));
  unsaved_ = unsaved_ || !stored.ok();
  co_return stored;
}

Task<void> NodeIdentity::StoreOrWarn() {
  auto stored = co_await Store();
  if (!stored.ok()) {
    LogError("Agent SVID and bundle could not be stored; will try again",
             {{"error", stored.error()}});
  }
}

Task<void> NodeIdentity::WaitForNews(std::chrono::nanoseconds at_most) {
  using boost::asio::experimental::awaitable_operators::operator||;
  auto changed = news_.Changed(news_.version());
  auto timeout = SleepOnWallClock(at_most);
  co_await (std::move(changed) || std::move(timeout));
}

}  // namespace credence
