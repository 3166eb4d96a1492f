#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <openssl/ssl.h>

#include "base/core/result.h"
#include "base/crypto/private_key.h"

/// What the TLS contexts of servers and clients have in common.
namespace credence {

struct FreeTlsContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

/// TLS 1.2 with the Mozilla intermediate ciphers, or 1.3; no resumption, no renegotiation, no
/// compression. Connections write what the socket takes.
Result<std::unique_ptr<SSL_CTX, FreeTlsContext>> MakeTlsContext(const SSL_METHOD* method);

/// Has the context show these certificates (DER, leaf first, at least one) and prove `key`. False,
/// with OpenSSL's reason on its queue, if they do not go together.
bool ShowCertificates(SSL_CTX* context,
                      const std::vector<std::string>& certificates,
                      const PrivateKey& key);

/// Each name with its length before it, as ALPN sends them.
std::string AlpnList(const std::vector<std::string>& protocols);

/// What the peer shows (DER, leaf first), inside a verification callback.
std::vector<std::string> ShownCertificates(X509_STORE_CTX* store);

/// i2d_X509 in the form that ToDer wants.
int EncodeX509(X509* certificate, unsigned char** out);

}  // namespace credence
