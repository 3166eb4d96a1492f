#include "base/crypto/tls_client_context.h"

#include <string_view>
#include <utility>

#include <openssl/ssl.h>

#include "base/crypto/openssl.h"
#include "base/crypto/tls_context.h"

namespace credence {
namespace {

constexpr const char* kHttp2 = "h2";
constexpr long kMaxServerChainBytes = 64 << 10;

int AskAboutServer(X509_STORE_CTX* store, void* options) {
  if (static_cast<const TlsClientOptions*>(options)->accepts_server(ShownCertificates(store))) {
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
  }
  X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

}  // namespace

Result<TlsClientContext> MakeHttp2ClientContext(TlsClientOptions options) {
  auto made = MakeTlsContext(TLS_client_method());
  if (!made.ok()) {
    return std::move(made).error();
  }
  auto context = *std::move(made);
  const auto held = std::make_shared<TlsClientOptions>(std::move(options));
  SSL_CTX_set_max_cert_list(context.get(), kMaxServerChainBytes);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(context.get(), &AskAboutServer, held.get());
  if (held->identity &&
      !ShowCertificates(context.get(), held->identity->certificates, held->identity->key)) {
    return OpenSslError(Code::kInvalidArgument, "use the TLS client's certificate with its key");
  }
  const std::string protocols = AlpnList({kHttp2});
  // 0 is success here.
  if (SSL_CTX_set_alpn_protos(context.get(),
                              AsUnsigned(std::string_view(protocols)),
                              static_cast<unsigned>(protocols.size())) != 0) {
    return OpenSslError(Code::kInternal, "offer HTTP/2");
  }
  return TlsClientContext(context.release(), [held](SSL_CTX* owned) { SSL_CTX_free(owned); });
}

bool SpeaksHttp2(const ssl_st* connection) {
  const unsigned char* chosen = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(connection, &chosen, &size);
  const void* bytes = chosen;
  return std::string_view(static_cast<const char*>(bytes), size) == kHttp2;
}

void NameServer(ssl_st* connection, const std::string& host) {
  // SSL_set_tlsext_host_name() casts in a way our warnings refuse; this is the call behind it.
  std::string name = host;
  SSL_ctrl(connection, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data());
}

}  // namespace credence
