#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/core/result.h"
#include "base/crypto/private_key.h"

struct ssl_ctx_st;
struct ssl_st;

namespace credence {

/// What a TLS server shows and asks. TLS 1.2 with the Mozilla intermediate ciphers, or 1.3; no
/// tickets, no resumption, no renegotiation, no compression.
struct TlsServerOptions {
  /// DER, leaf first, no root.
  std::vector<std::string> certificates;
  PrivateKey key;
  /// Offers nothing else; a client that offers none of them is refused. Empty: no ALPN.
  std::vector<std::string> alpn;
  /// Asked about the chain (DER, leaf first) that a client shows; false ends the handshake. Null:
  /// no client is asked for a certificate. A client that shows none is never refused here.
  std::function<bool(const std::vector<std::string>& chain)> accepts_client;
};

/// One per set of certificates; a connection keeps the one that it began with.
using TlsServerContext = std::shared_ptr<ssl_ctx_st>;

/// Errors: kInvalidArgument when the certificate and the key do not go together.
/// Source: Mozilla Server Side TLS, intermediate; RFC 8446; RFC 7301 (ALPN).
Result<TlsServerContext> MakeTlsServerContext(TlsServerOptions options);

/// What a client showed in its handshake (DER, leaf first); empty if it showed nothing.
std::vector<std::string> PeerCertificates(ssl_st* connection);

}  // namespace credence
