#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/thread_pool.hpp>

#include "base/core/backoff.h"
#include "base/core/clock.h"
#include "base/core/deadline.h"
#include "base/core/latch.h"
#include "base/core/result.h"
#include "base/core/task.h"
#include "base/crypto/private_key.h"
#include "base/rpc/connection.h"
#include "base/rpc/dial.h"
#include "base/rpc/trust.h"
#include "base/spiffe/spiffe_id.h"

namespace credence {

/// The way to one gRPC server. It connects on the first call and reconnects on the first one after
/// a loss; the calls that run at the same time share one connection. A connection that the server
/// is leaving is replaced, and the calls on it run to their end. After a failure, calls fail at
/// once with the same error for a moment (0.2 to 5 s, growing): only then is the server tried
/// again. Idle, it costs no wake-up. Threads: core thread.
class RpcChannel final : public std::enable_shared_from_this<RpcChannel> {
 public:
  /// `pool` looks names up and outlives the channel.
  RpcChannel(asio::any_io_executor executor, asio::thread_pool& pool, DialPlan plan);
  ~RpcChannel();
  RpcChannel(const RpcChannel&) = delete;
  RpcChannel& operator=(const RpcChannel&) = delete;

  const asio::any_io_executor& executor() const { return executor_; }
  /// A connection for a new call; waits for one that is being made.
  /// Errors: kUnavailable; kDeadlineExceeded.
  Task<Result<std::shared_ptr<RpcConnection>>> Connect(Deadline deadline);
  /// Ends the connection and its calls; there is no other.
  void Close();

 private:
  using Dialled = Result<std::shared_ptr<RpcConnection>>;

  void StartDial();
  void OnDialled(Dialled dialled);

  asio::any_io_executor executor_;
  asio::thread_pool& pool_;
  std::shared_ptr<const DialPlan> plan_;
  SystemClock clock_;
  Backoff backoff_;
  std::shared_ptr<RpcConnection> connection_;
  /// Set when the dial under way is over; null when there is none.
  std::shared_ptr<Latch> dial_;
  std::shared_ptr<asio::cancellation_signal> cancel_dial_;
  /// Why there is no connection.
  std::optional<Error> failure_;
  SteadyTime retry_at_;
  bool closed_ = false;
};

/// A shared_ptr: calls keep theirs until they end.
using SharedRpcChannel = std::shared_ptr<RpcChannel>;

/// Where channels live.
class RpcClient {
 public:
  /// The core thread's executor; `pool` looks names up. It is joined before the executor's context
  /// goes.
  RpcClient(asio::any_io_executor executor, asio::thread_pool& pool)
      : executor_(std::move(executor)), pool_(pool) {}
  RpcClient(const RpcClient&) = delete;
  RpcClient& operator=(const RpcClient&) = delete;

  SharedRpcChannel MakeChannel(DialPlan plan);
  /// Closes every channel, so that the event loop has nothing left to wait for.
  void Close();

 private:
  asio::any_io_executor executor_;
  asio::thread_pool& pool_;
  std::list<std::weak_ptr<RpcChannel>> channels_;
};

/// Who we are to the server.
struct RpcIdentity {
  /// DER, leaf first.
  std::vector<std::string> certificates;
  PrivateKey key;
};

/// How to reach a server that identifies itself with an X509-SVID.
struct TlsTarget {
  /// "host:port"; IPv6 in brackets.
  std::string address;
  /// The server's certificate must have exactly one URI SAN, this one, and keep the rules for
  /// X509-SVID leaves.
  SpiffeId server_id;
  RpcTrust trust;
  /// nullopt: no client certificate is shown.
  std::optional<RpcIdentity> identity;
};

/// A channel over TLS 1.2 or newer with SPIFFE authentication in both directions; every channel has
/// connections of its own, never one that another identity opened. Keys stay in memory. Errors:
/// kInvalidArgument for an address without a port, an empty set of authorities, or an identity
/// whose certificates and key do not go together. Source: SPIFFE X509-SVID section 5.
Result<SharedRpcChannel> MakeTlsChannel(RpcClient& client, TlsTarget target);

/// A channel without TLS to a Unix socket, given by its path.
/// Errors: kInvalidArgument for an empty, relative or overlong path.
Result<SharedRpcChannel> MakeUnixChannel(RpcClient& client, const std::string& path);

}  // namespace credence
