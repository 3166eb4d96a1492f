#pragma once

#include <memory>

#include <boost/asio/thread_pool.hpp>

#include "agent/authority/services/access.h"
#include "agent/authority/services/authority_state.h"
#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/core/task_group.h"
#include "base/crypto/tls_server_context.h"

namespace credence {

/// The authority's own X509-SVID, spiffe://<trust domain>/spire/server, as TLS shows it. A new one,
/// with a new key that is never on a disk, at half of its life and whenever the CA changes;
/// connections keep the one that they began with. Threads: core thread.
class ServingIdentity {
 public:
  ServingIdentity(asio::any_io_executor executor,
                  asio::thread_pool& pool,
                  AuthorityState& state,
                  const Access& access,
                  const Clock& clock);

  /// The first one. Blocks for a few ms: before the core thread runs. Errors: those of signing.
  Result<void> Prepare();
  void Start();
  Task<void> Stop();

  /// For the server API: HTTP/2, and clients may show an X509-SVID.
  TlsServerContext api_context() const { return contexts_.api; }
  /// For documents: HTTP/1.1, and nobody is asked for a certificate.
  TlsServerContext web_context() const { return contexts_.web; }

 private:
  struct Contexts {
    TlsServerContext api;
    TlsServerContext web;
    WallTime renew_at;
  };

  static Result<Contexts> Make(const SigningKeySet& keys,
                               const TrustDomain& trust_domain,
                               std::function<bool(const std::vector<std::string>&)> accepts_client,
                               WallTime now);
  std::function<bool(const std::vector<std::string>&)> Judge() const;
  Task<void> RenewInTime();

  asio::thread_pool& pool_;
  AuthorityState& state_;
  const Access& access_;
  const Clock& clock_;
  Contexts contexts_;
  TaskGroup tasks_;
};

}  // namespace credence
