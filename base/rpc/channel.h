#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/core/result.h"
#include "base/crypto/private_key.h"
#include "base/spiffe/spiffe_id.h"

namespace grpc {
class Channel;
}

namespace credence {

/// A connection to one gRPC server that reconnects by itself. A shared_ptr: calls keep theirs until
/// they end.
using SharedRpcChannel = std::shared_ptr<grpc::Channel>;

/// Who we are to the server.
struct RpcIdentity {
  /// DER, leaf first.
  std::vector<std::string> certificates;
  PrivateKey key;
};

/// Trust in these authorities (DER); the server's chain must lead to one of them.
struct TrustAuthorities {
  std::vector<std::string> x509_authorities;
};
/// First contact without a bundle: the chain is not checked, whoever answers is believed if the
/// certificate names the expected SPIFFE ID.
struct TrustAnyChain {};
using RpcTrust = std::variant<TrustAuthorities, TrustAnyChain>;

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

/// A channel over TLS 1.2 or newer with SPIFFE authentication in both directions. Connects on its
/// first call; every channel has connections of its own, never one that another identity opened.
/// Keys stay in memory; gRPC keeps its own copy for the life of the channel. Errors:
/// kInvalidArgument for an empty set of authorities or an identity without certificates. Source:
/// SPIFFE X509-SVID section 5; gRPC C++ 1.51 experimental TLS credentials.
Result<SharedRpcChannel> MakeTlsChannel(TlsTarget target);

/// A channel without TLS to a Unix socket, given by its path.
/// Errors: kInvalidArgument for an empty or relative path.
Result<SharedRpcChannel> MakeUnixChannel(const std::string& path);

}  // namespace credence
