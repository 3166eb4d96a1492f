#pragma once

#include "agent/upstream/node_identity.h"
#include "agent/upstream/server_client.h"

namespace credence {

/// Asks the SPIRE server over NodeIdentity's connection.
class SpireServerClient final : public ServerClient {
 public:
  /// `node` outlives this object and has been started.
  explicit SpireServerClient(NodeIdentity& node) : node_(node) {}

  Task<Result<EntrySyncResult>> SyncEntries(SharedEntries known, Deadline deadline) override;
  Task<Result<TrustBundle>> FetchBundle(Deadline deadline) override;
  Task<Result<std::optional<TrustBundle>>> FetchFederatedBundle(TrustDomain trust_domain,
                                                                Deadline deadline) override;
  Task<Result<std::vector<SignedX509>>> SignX509(std::vector<X509Request> requests,
                                                 Deadline deadline) override;
  Task<Result<JwtSvid>> NewJwtSvid(std::string entry_id,
                                   std::vector<std::string> audience,
                                   Deadline deadline) override;
  Task<Error> WatchChanges(std::function<void()> changed) override;
  Task<Result<void>> PostStatus(std::string version, Deadline deadline) override;

 private:
  NodeIdentity& node_;
};

}  // namespace credence
