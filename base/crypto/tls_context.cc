#include "base/crypto/tls_context.h"

#include <cstdint>

#include "base/crypto/certificate.h"
#include "base/crypto/openssl.h"

namespace credence {
namespace {

/// Mozilla's intermediate list for TLS 1.2; those of TLS 1.3 are OpenSSL's own.
constexpr const char* kCiphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

}  // namespace

Result<std::unique_ptr<SSL_CTX, FreeTlsContext>> MakeTlsContext(const SSL_METHOD* method) {
  std::unique_ptr<SSL_CTX, FreeTlsContext> context(SSL_CTX_new(method));
  if (context == nullptr) {
    return OpenSslError(Code::kInternal, "make a TLS context");
  }
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context.get(),
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                       SSL_MODE_RELEASE_BUFFERS);
  if (SSL_CTX_set_cipher_list(context.get(), kCiphers) != 1) {
    return OpenSslError(Code::kInternal, "choose TLS ciphers");
  }
  return context;
}

bool ShowCertificates(SSL_CTX* context,
                      const std::vector<std::string>& certificates,
                      const PrivateKey& key) {
  for (std::size_t i = 0; i < certificates.size(); ++i) {
    const auto certificate = ParseCertificate(certificates[i]);
    if (!certificate.ok()) {
      return false;
    }
    const long taken = i == 0 ? SSL_CTX_use_certificate(context, certificate->get())
                              : SSL_CTX_add1_chain_cert(context, certificate->get());
    if (taken != 1) {
      return false;
    }
  }
  return !certificates.empty() && SSL_CTX_use_PrivateKey(context, key.get()) == 1 &&
         SSL_CTX_check_private_key(context) == 1;
}

std::string AlpnList(const std::vector<std::string>& protocols) {
  std::string list;
  for (const std::string& protocol : protocols) {
    list += static_cast<char>(static_cast<std::uint8_t>(protocol.size()));
    list += protocol;
  }
  return list;
}

std::vector<std::string> ShownCertificates(X509_STORE_CTX* store) {
  std::vector<std::string> chain;
  const STACK_OF(X509)* shown = X509_STORE_CTX_get0_untrusted(store);
  for (int i = 0; i < sk_X509_num(shown); ++i) {
    chain.push_back(ToDer(sk_X509_value(shown, i), &EncodeX509));
  }
  return chain;
}

int EncodeX509(X509* certificate, unsigned char** out) {
  return i2d_X509(certificate, out);
}

}  // namespace credence
