#pragma once

#include <string>

#include "agent/upstream/refusal.h"
#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/rpc/channel.h"
#include "base/spiffe/spiffe_id.h"
#include "base/svid/bundle.h"
#include "base/svid/x509_svid.h"
#include "plugins/contract/node_attestor.h"

/// The calls by which an agent gets and keeps its own SVID, as plain functions over a channel.
namespace credence {

/// An agent SVID as issued.
struct IssuedAgentSvid {
  X509SvidChain chain;
  /// True: renewed by attesting again; false: by RenewAgent.
  bool reattestable = false;
};

struct AttestOutcome {
  Result<IssuedAgentSvid> issued;
  /// The server looked at the evidence and said no; asking again with the same will not help.
  bool rejected = false;
};

/// Attests this node over `channel` (without a client certificate) for the key of `csr` (PKCS#10
/// DER). `attestor` outlives the call. At most 16 challenges are answered. Errors: the attestor's
/// own; the server's; kInternal for a server that breaks the protocol.
Task<AttestOutcome> AttestAgent(SharedRpcChannel channel,
                                NodeAttestor& attestor,
                                std::string csr,
                                Deadline deadline);

struct RenewOutcome {
  Result<X509SvidChain> chain;
  Refusal refusal = Refusal::kNone;
};

/// A new certificate for the key of `csr`, asked for with the present one.
Task<RenewOutcome> RenewAgent(SharedRpcChannel channel, std::string csr, Deadline deadline);

/// The bundle of `trust_domain`, the server's own. Errors: the server's; kInternal for a bundle of
/// another trust domain or one without X.509 authorities.
Task<Result<TrustBundle>> GetBundle(SharedRpcChannel channel,
                                    TrustDomain trust_domain,
                                    Deadline deadline);

}  // namespace credence
