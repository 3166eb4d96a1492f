#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/core/result.h"
#include "base/crypto/private_key.h"

struct ssl_ctx_st;
struct ssl_st;

namespace credence {

/// What a TLS client shows and demands. TLS 1.2 with the Mozilla intermediate ciphers, or 1.3; no
/// resumption, no renegotiation, no compression.
struct TlsClientOptions {
  struct Identity {
    /// DER, leaf first, no root.
    std::vector<std::string> certificates;
    PrivateKey key;
  };
  /// nullopt: no certificate is shown.
  std::optional<Identity> identity;
  /// Asked about the chain (DER, leaf first) that the server shows; false ends the handshake.
  /// Nothing else looks at the chain.
  std::function<bool(const std::vector<std::string>& chain)> accepts_server;
};

/// Connections keep it alive.
using TlsClientContext = std::shared_ptr<ssl_ctx_st>;

/// A context that offers HTTP/2 alone by ALPN. Errors: kInvalidArgument when the certificate and
/// the key do not go together. Source: RFC 8446; RFC 7301 (ALPN).
Result<TlsClientContext> MakeHttp2ClientContext(TlsClientOptions options);

/// After the handshake: the server has chosen HTTP/2.
bool SpeaksHttp2(const ssl_st* connection);

/// Before the handshake: names the host for servers that serve several (SNI).
void NameServer(ssl_st* connection, const std::string& host);

}  // namespace credence
