#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include <boost/asio/thread_pool.hpp>

#include "base/core/result.h"
#include "base/core/task.h"
#include "base/crypto/tls_client_context.h"
#include "base/rpc/connection.h"

namespace credence {

/// Where a channel leads and how it talks there.
struct DialPlan {
  RpcConnection::Names names;
  /// A name or an IP address, without brackets; "" for a Unix socket.
  std::string host;
  std::uint16_t port = 0;
  std::string unix_path;
  /// Null for a Unix socket.
  TlsClientContext tls;
  /// What the context's verification had against the server last; "" if nothing.
  std::shared_ptr<std::string> complaint = std::make_shared<std::string>();
};

/// Looks the name up, connects and waits until the server has accepted us: at most this long once
/// the name is known. The addresses of a name are tried in order, each with an even share of the
/// time.
inline constexpr std::chrono::seconds kDialTime{20};

/// Errors: kUnavailable, naming the address and the reason. `pool` looks names up; an IP address
/// does not use it.
Task<Result<std::shared_ptr<RpcConnection>>> Dial(std::shared_ptr<const DialPlan> plan,
                                                  asio::thread_pool& pool);

}  // namespace credence
