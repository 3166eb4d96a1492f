#include "base/crypto/tls_server_context.h"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <openssl/ssl.h>

#include "base/crypto/certificate.h"
#include "base/crypto/openssl.h"

namespace credence {
namespace {

/// Mozilla's intermediate list for TLS 1.2; those of TLS 1.3 are OpenSSL's own.
constexpr const char* kCiphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
/// A chain is a few certificates of 1 KiB; what is longer is sent to cost us something.
constexpr long kMaxClientChainBytes = 32 << 10;

/// What the callbacks of a context need; lives as long as it.
struct Asked {
  TlsServerOptions options;
  /// Each name with its length before it, as ALPN sends them.
  std::string protocols;
};

int ChooseProtocol(SSL* /*connection*/,
                   const unsigned char** chosen,
                   unsigned char* chosen_size,
                   const unsigned char* offered,
                   unsigned offered_size,
                   void* asked) {
  const std::string& ours = static_cast<const Asked*>(asked)->protocols;
  unsigned char* found = nullptr;
  if (SSL_select_next_proto(&found,
                            chosen_size,
                            AsUnsigned(std::string_view(ours)),
                            static_cast<unsigned>(ours.size()),
                            offered,
                            offered_size) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

int EncodeCertificate(X509* certificate, unsigned char** out) {
  return i2d_X509(certificate, out);
}

int AskAboutClient(X509_STORE_CTX* store, void* asked) {
  std::vector<std::string> chain;
  const STACK_OF(X509)* shown = X509_STORE_CTX_get0_untrusted(store);
  for (int i = 0; i < sk_X509_num(shown); ++i) {
    chain.push_back(ToDer(sk_X509_value(shown, i), &EncodeCertificate));
  }
  if (!chain.empty() && static_cast<const Asked*>(asked)->options.accepts_client(chain)) {
    return 1;
  }
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
  return 0;
}

bool ShowCertificates(SSL_CTX* context, const TlsServerOptions& options) {
  for (std::size_t i = 0; i < options.certificates.size(); ++i) {
    const auto certificate = ParseCertificate(options.certificates[i]);
    if (!certificate.ok()) {
      return false;
    }
    const long taken = i == 0 ? SSL_CTX_use_certificate(context, certificate->get())
                              : SSL_CTX_add1_chain_cert(context, certificate->get());
    if (taken != 1) {
      return false;
    }
  }
  return SSL_CTX_use_PrivateKey(context, options.key.get()) == 1 &&
         SSL_CTX_check_private_key(context) == 1;
}

}  // namespace

Result<TlsServerContext> MakeTlsServerContext(TlsServerOptions options) {
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_server_method()),
                                                       SSL_CTX_free);
  if (context == nullptr) {
    return OpenSslError(Code::kInternal, "make a TLS context");
  }
  const auto asked = std::make_shared<Asked>(Asked{std::move(options), ""});
  for (const std::string& protocol : asked->options.alpn) {
    asked->protocols += static_cast<char>(static_cast<std::uint8_t>(protocol.size()));
    asked->protocols += protocol;
  }
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(),
                      SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_mode(context.get(),
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                       SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_max_cert_list(context.get(), kMaxClientChainBytes);
  if (SSL_CTX_set_cipher_list(context.get(), kCiphers) != 1) {
    return OpenSslError(Code::kInternal, "choose TLS ciphers");
  }
  if (asked->options.certificates.empty() || !ShowCertificates(context.get(), asked->options)) {
    return OpenSslError(Code::kInvalidArgument, "use the TLS server's certificate with its key");
  }
  if (!asked->protocols.empty()) {
    SSL_CTX_set_alpn_select_cb(context.get(), &ChooseProtocol, asked.get());
  }
  if (asked->options.accepts_client) {
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_cert_verify_callback(context.get(), &AskAboutClient, asked.get());
  }
  return TlsServerContext(context.release(), [asked](SSL_CTX* held) { SSL_CTX_free(held); });
}

}  // namespace credence
