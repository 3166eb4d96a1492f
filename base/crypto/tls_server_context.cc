#include "base/crypto/tls_server_context.h"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <openssl/ssl.h>

#include "base/crypto/certificate.h"
#include "base/crypto/openssl.h"
#include "base/crypto/tls_context.h"

namespace credence {
namespace {

/// A chain is a few certificates of 1 KiB; what is longer is sent to cost us something.
constexpr long kMaxClientChainBytes = 32 << 10;

/// What the callbacks of a context need; lives as long as it.
struct Asked {
  TlsServerOptions options;
  /// In ALPN's own form.
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

int AskAboutClient(X509_STORE_CTX* store, void* asked) {
  const auto chain = ShownCertificates(store);
  if (!chain.empty() && static_cast<const Asked*>(asked)->options.accepts_client(chain)) {
    return 1;
  }
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
  return 0;
}

}  // namespace

Result<TlsServerContext> MakeTlsServerContext(TlsServerOptions options) {
  auto made = MakeTlsContext(TLS_server_method());
  if (!made.ok()) {
    return std::move(made).error();
  }
  auto context = *std::move(made);
  const auto asked = std::make_shared<Asked>(Asked{std::move(options), ""});
  asked->protocols = AlpnList(asked->options.alpn);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_max_cert_list(context.get(), kMaxClientChainBytes);
  if (!ShowCertificates(context.get(), asked->options.certificates, asked->options.key)) {
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

std::vector<std::string> PeerCertificates(ssl_st* connection) {
  std::vector<std::string> chain;
  X509* leaf = SSL_get0_peer_certificate(connection);
  if (leaf == nullptr) {
    return chain;
  }
  chain.push_back(ToDer(leaf, &EncodeX509));
  // A server's view of the rest lacks the leaf.
  const STACK_OF(X509)* others = SSL_get_peer_cert_chain(connection);
  for (int i = 0; i < sk_X509_num(others); ++i) {
    chain.push_back(ToDer(sk_X509_value(others, i), &EncodeX509));
  }
  return chain;
}

}  // namespace credence
