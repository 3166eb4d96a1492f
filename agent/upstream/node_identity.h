#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include "agent/config/agent_config.h"
#include "agent/upstream/agent_data.h"
#include "agent/upstream/attest_agent.h"
#include "agent/upstream/refusal.h"
#include "agent/upstream/rotation_schedule.h"
#include "base/core/backoff.h"
#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/core/watch.h"
#include "base/crypto/private_key.h"
#include "base/rpc/channel.h"
#include "base/spiffe/spiffe_id.h"
#include "base/svid/bundle.h"
#include "base/svid/x509_svid.h"
#include "plugins/contract/key_manager.h"
#include "plugins/contract/node_attestor.h"

namespace credence {

/// This node's own SVID, the bundle it trusts its server by, and the connection built from the two.
/// Attests, rotates at half-life or when its authority is tainted, keeps both on disk
/// (agent-data.json, in the format of SPIRE's agent, so that either can take over from the other).
/// Threads: core thread; files and keys are worked on by the pool.
class NodeIdentity {
 public:
  struct Options {
    TrustDomain trust_domain;
    std::string server_address;
    std::uint16_t server_port = 0;
    /// Holds agent-data.json; created with mode 0750 if absent.
    std::string data_dir;
    BootstrapSource bootstrap;
    /// Waits between tries of attestation and rotation.
    Backoff::Options backoff{.initial = std::chrono::seconds(5), .cap = std::chrono::minutes(2)};
  };

  /// References outlive this object. `executor` is the core thread's.
  NodeIdentity(Options options,
               asio::any_io_executor executor,
               asio::thread_pool& pool,
               RpcClient& rpc,
               KeyManager& keys,
               NodeAttestor& attestor,
               const Clock& clock);

  /// Takes up the stored SVID if it and its key are usable (then no server is needed), else
  /// attests, waiting for the server with back-off for as long as it takes and logging each wait.
  /// On success channel() is set.
  /// Errors (final, the agent cannot start): kPermissionDenied or kInvalidArgument when the server
  ///   rejects the attestation; kFailedPrecondition for no bootstrap source or stored state that
  ///   does not fit together; kDataLoss for a damaged file; those of reading and writing files.
  Task<Result<void>> Start();

  /// Rotates the SVID and acts on refusals until cancelled. Returns only when this agent cannot go
  /// on: banned; told to attest again by a method that cannot; expired without having been able to
  /// rotate. What workloads hold stays valid until its own expiry.
  /// Errors: kPermissionDenied when banned; kUnauthenticated when it has to be attested anew.
  Task<Result<void>> Run();

  const TrustDomain& trust_domain() const { return options_.trust_domain; }
  /// The connection to the server with the present SVID. A new object after each rotation or bundle
  /// change; calls on the old one run to their end. Never null after a successful Start().
  SharedRpcChannel channel() const { return channel_; }
  /// Never null after a successful Start().
  const SharedBundle& bundle() const { return bundle_; }
  /// The agent's own SPIFFE ID and certificate chain; set after a successful Start().
  const std::optional<X509SvidChain>& svid() const { return svid_; }
  bool reattestable() const { return reattestable_; }

  /// The own trust domain's bundle as just fetched. Other X.509 authorities make a new channel and
  /// are stored soon; a bundle without any is ignored with a warning. An SVID whose authority it
  /// calls tainted is rotated at once.
  void UpdateBundle(SharedBundle bundle);

  /// The server said so in answer to a call over `channel`; Run() acts on it. Ignored for a channel
  /// that is no longer the present one: the server drops an old SVID with the first use of the new,
  /// or with an attestation, so that only a ban counts while that goes on.
  void ServerRefused(Refusal refusal, const SharedRpcChannel& channel);

 private:
  /// What the server issued, with the key it is for.
  struct Issued {
    IssuedAgentSvid svid;
    PrivateKey key;
    std::string key_name;
    /// nullptr: keep the present one.
    SharedBundle bundle;
  };
  struct Attempt {
    Result<Issued> issued;
    /// No use in trying again.
    bool final = false;
  };
  struct NewKey {
    PrivateKey key;
    std::string name;
    std::string csr;
  };

  Task<Result<void>> Load();
  Task<bool> TakeUpStored(AgentData data);
  Task<Result<void>> AttestUntilDone();
  Task<Attempt> Attest();
  Task<Result<Issued>> AcceptAttested(IssuedAgentSvid svid,
                                      NewKey key,
                                      SharedRpcChannel channel,
                                      RpcTrust trust);
  Task<Result<SharedBundle>> FirstBundle(SharedRpcChannel channel, RpcTrust trust);
  Task<Attempt> Renew();
  Task<bool> Rotate();
  Task<Result<void>> ActOnRefusal();
  Task<Result<void>> Adopt(Issued issued);
  Task<Result<void>> Store();
  Task<void> StoreOrWarn();
  Task<Result<NewKey>> MakeKey();
  Task<Result<RpcTrust>> ServerTrust();
  Result<void> CheckIssued(const X509SvidChain& chain, const PrivateKey& key) const;
  Result<SharedRpcChannel> ChannelTo(RpcTrust trust, std::optional<RpcIdentity> identity) const;
  Result<void> RebuildChannel();
  bool IsTainted() const;
  Task<void> WaitForNews(std::chrono::nanoseconds at_most);

  const Options options_;
  asio::thread_pool& pool_;
  RpcClient& rpc_;
  KeyManager& keys_;
  NodeAttestor& attestor_;
  const Clock& clock_;

  SharedBundle bundle_;
  std::optional<X509SvidChain> svid_;
  std::optional<PrivateKey> key_;
  /// Which of the two key names holds key_; "" for none.
  std::string key_name_;
  bool reattestable_ = false;
  std::optional<RotationSchedule> schedule_;
  SharedRpcChannel channel_;
  Refusal refusal_ = Refusal::kNone;
  /// This node is being attested again.
  bool attesting_ = false;
  /// The SVID is signed by a tainted authority.
  bool tainted_ = false;
  /// What is in memory is not on disk.
  bool unsaved_ = false;
  /// Members of the stored file that are not ours.
  boost::json::object stored_others_;
  /// Changes when Run() has something to look at.
  Watch<std::uint64_t> news_;
};

}  // namespace credence
