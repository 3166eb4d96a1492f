#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/core/deadline.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/spiffe/registration_entry.h"
#include "base/spiffe/spiffe_id.h"
#include "base/svid/bundle.h"
#include "base/svid/jwt_svid.h"
#include "base/svid/x509_svid.h"

namespace credence {

/// By entry ID.
using EntryMap = std::map<std::string, RegistrationEntry, std::less<>>;
using SharedEntries = std::shared_ptr<const EntryMap>;

/// What one entry sync came to.
struct EntrySyncResult {
  /// Every entry this agent may serve. The very object that was passed in when nothing changed, so
  /// that equal pointers mean "no news".
  SharedEntries entries;
  /// Entries the server sent in full, and known ones it no longer lists.
  std::size_t received = 0;
  std::size_t dropped = 0;
  /// One line for each entry that broke a rule and was left out: "entry 42: selector type is
  /// empty".
  std::vector<std::string> warnings;
};

/// One X509-SVID wanted.
struct X509Request {
  std::string entry_id;
  /// PKCS#10 DER.
  std::string csr;
};

/// One answer of SignX509. Errors: kNotFound, kInvalidArgument and others as the server gave them
/// for this entry; kInternal for a chain that breaks the X509-SVID rules.
using SignedX509 = Result<X509SvidChain>;

/// What an agent asks of its SPIRE server. Each call ends at `deadline` or after 30 s, whichever
/// comes first. Errors of every call: kUnavailable (no connection, retry), kDeadlineExceeded,
/// kPermissionDenied (when it says that this agent must attest again or is banned, the node
/// identity has been told already and acts on it; the caller only retries later), and those named
/// below. Threads: core thread.
class ServerClient {
 public:
  /// The most requests that one SignX509 may carry: the server's own limit.
  static constexpr std::size_t kMaxX509Requests = 500;

  virtual ~ServerClient() = default;

  /// Brings `known` (never null) up to date: pages of revisions, then the entries that are new or
  /// changed. `known` is the result of the last success; nothing of a failed sync is kept. Errors:
  /// kInternal for a server that breaks the protocol.
  virtual Task<Result<EntrySyncResult>> SyncEntries(SharedEntries known, Deadline deadline) = 0;

  /// The bundle of the own trust domain, with at least one X.509 authority.
  virtual Task<Result<TrustBundle>> FetchBundle(Deadline deadline) = 0;

  /// nullopt: the server knows no such trust domain.
  virtual Task<Result<std::optional<TrustBundle>>> FetchFederatedBundle(TrustDomain trust_domain,
                                                                        Deadline deadline) = 0;

  /// One result per request, in the order of the requests (1 to kMaxX509Requests).
  /// Errors: kResourceExhausted when the server's rate limit does not fit into the deadline;
  /// kInternal when the
  ///   answer has another number of items.
  virtual Task<Result<std::vector<SignedX509>>> SignX509(std::vector<X509Request> requests,
                                                         Deadline deadline) = 0;

  /// A fresh token, never a cached one. Errors: kNotFound when the entry is no longer this agent's;
  /// kUnimplemented
  ///   when the server has JWT-SVIDs switched off.
  virtual Task<Result<JwtSvid>> NewJwtSvid(std::string entry_id,
                                           std::vector<std::string> audience,
                                           Deadline deadline) = 0;

  /// Calls `changed` when the server begins to tell of changes, and after each change of entries or
  /// bundles; several in quick succession are one. Returns when the server stops telling or after a
  /// while (kDeadlineExceeded), and is then to be called again. Errors: kUnimplemented when the
  /// server never tells, as SPIRE's.
  virtual Task<Error> WatchChanges(std::function<void()> changed) = 0;

  /// Tells the server this agent's version, for its list of agents. A server too old to know the
  /// call is a success.
  virtual Task<Result<void>> PostStatus(std::string version, Deadline deadline) = 0;
};

}  // namespace credence
