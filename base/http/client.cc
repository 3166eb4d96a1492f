#include "base/http/client.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/crypto/openssl.h"

namespace credence {
namespace {

using asio::ip::tcp;
using TlsStream = asio::ssl::stream<tcp::socket>;
using boost::system::error_code;

Error Unavailable(std::string message) {
  return Error(Code::kUnavailable, std::move(message));
}

/// The request's own verifier, and what it had against the server.
struct PeerCheck {
  const PeerVerifier& verify;
  std::string complaint;
};

int EncodeCertificate(X509* certificate, unsigned char** out) {
  return i2d_X509(certificate, out);
}

int AskVerifier(X509_STORE_CTX* store, void* check) {
  auto& [verify, complaint] = *static_cast<PeerCheck*>(check);
  std::vector<std::string> chain;
  const STACK_OF(X509)* shown = X509_STORE_CTX_get0_untrusted(store);
  for (int i = 0; i < sk_X509_num(shown); ++i) {
    chain.push_back(ToDer(sk_X509_value(shown, i), &EncodeCertificate));
  }
  const auto verified = verify(chain);
  if (verified.ok()) {
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
  }
  complaint = verified.error().message();
  X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

void PrepareContext(asio::ssl::context& context, PeerCheck& check) {
  SSL_CTX* native = context.native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  // Plaintext is wiped from OpenSSL's own buffers once it has been read.
  SSL_CTX_set_options(native,
                      SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_verify(native, SSL_VERIFY_PEER, nullptr);
  if (check.verify) {
    SSL_CTX_set_cert_verify_callback(native, &AskVerifier, &check);
  }
}

/// Makes verification include the host, and asks for it by SNI. A verifier of the request's own is
/// called instead of the verification that would look at the host.
bool ExpectHost(TlsStream& stream, const HttpUrl& url) {
  SSL* ssl = stream.native_handle();
  if (url.host_kind != HostKind::kName) {
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), url.host.c_str()) == 1;
  }
  SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  // SSL_set_tlsext_host_name() casts in a way our warnings refuse; this is the call behind it.
  std::string name = url.host;
  return SSL_set1_host(ssl, name.c_str()) == 1 &&
         SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data()) == 1;
}

Task<Result<void>> ConnectOne(tcp::socket& socket, tcp::endpoint endpoint) {
  error_code failed;
  co_await socket.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, failed));
  if (failed) {
    co_return Unavailable(failed.message());
  }
  co_return Ok();
}

/// Tries the addresses in order, each with an even share of the time that is left, so that a dead
/// first address leaves time for a living second.
Task<Result<void>> Connect(tcp::socket& socket,
                           std::string authority,
                           std::vector<tcp::endpoint> endpoints,
                           Deadline deadline) {
  Error last = Unavailable("it has no address");
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    const auto left = static_cast<std::chrono::nanoseconds::rep>(endpoints.size() - i);
    const Deadline share = Deadline::After(deadline.Remaining() / left);
    error_code ignored;
    socket.close(ignored);
    auto connected = co_await WithDeadline(share, ConnectOne(socket, endpoints[i]));
    if (connected.ok()) {
      co_return Ok();
    }
    last = std::move(connected).error();
  }
  co_return Unavailable(fmt::format("cannot connect to {}: {}", authority, last.message()));
}

Error BrokenConnection(const error_code& failed) {
  if (failed == asio::error::operation_aborted) {
    return Error(Code::kCancelled, "request was cancelled");
  }
  return Unavailable(fmt::format("the connection broke: {}", failed.message()));
}

bool EndsStream(const error_code& failed) {
  return failed == asio::error::eof || failed == asio::ssl::error::stream_truncated;
}

template <class Stream>
Task<Result<HttpResponse>> Transact(Stream& stream,
                                    const SecretBytes& text,
                                    std::size_t max_response_bytes,
                                    RequestFate& fate) {
  error_code failed;
  fate = RequestFate::kSent;
  co_await asio::async_write(stream,
                             asio::buffer(text.data(), text.size()),
                             asio::redirect_error(asio::use_awaitable, failed));
  if (failed) {
    co_return BrokenConnection(failed);
  }
  ResponseReader reader(max_response_bytes);
  while (true) {
    const std::span<std::uint8_t> space = reader.Space();
    const std::size_t size =
        co_await stream.async_read_some(asio::buffer(space.data(), space.size()),
                                        asio::redirect_error(asio::use_awaitable, failed));
    auto complete = reader.Commit(size);
    if (!complete.ok()) {
      co_return std::move(complete).error();
    }
    if (*complete) {
      co_return reader.Take();
    }
    if (failed == asio::ssl::error::stream_truncated) {
      // Without the closing alert anyone on the path may have cut the answer.
      auto ended = reader.Eof();
      co_return ended.ok() ? Error(Code::kDataLoss, "the answer stops in the middle")
                           : std::move(ended).error();
    }
    if (failed && !EndsStream(failed)) {
      co_return BrokenConnection(failed);
    }
    if (failed) {
      auto ended = reader.Eof();
      if (!ended.ok()) {
        co_return std::move(ended).error();
      }
      co_return reader.Take();
    }
  }
}

Task<Result<void>> Handshake(TlsStream& stream, HttpUrl url, const PeerCheck& check) {
  if (!ExpectHost(stream, url)) {
    co_return Error(Code::kInternal, "TLS could not be set up");
  }
  error_code failed;
  co_await stream.async_handshake(asio::ssl::stream_base::client,
                                  asio::redirect_error(asio::use_awaitable, failed));
  if (!failed) {
    co_return Ok();
  }
  if (failed == asio::error::operation_aborted) {
    co_return BrokenConnection(failed);
  }
  const long verdict = SSL_get_verify_result(stream.native_handle());
  std::string reason = check.complaint;
  if (reason.empty()) {
    reason = verdict == X509_V_OK ? failed.message() : X509_verify_cert_error_string(verdict);
  }
  co_return Unavailable(fmt::format("TLS with {} failed: {}", url.Authority(), reason));
}

}  // namespace

Task<Result<HttpResponse>> HttpClient::Converse(const HttpRequest& request,
                                                RequestFate& fate,
                                                Deadline deadline) {
  auto text = SerializeRequest(request);
  if (!text.ok()) {
    co_return std::move(text).error();
  }
  const bool encrypted = request.url.scheme == UrlScheme::kHttps;
  if (request.verify_peer && !encrypted) {
    co_return Error(Code::kInvalidArgument, "a server without TLS cannot be verified");
  }
  PeerCheck check{request.verify_peer, ""};
  asio::ssl::context context(asio::ssl::context::tls_client);
  if (encrypted) {
    PrepareContext(context, check);
  }
  if (encrypted && !request.verify_peer) {
    auto roots = co_await roots_.Get(request.ca_file, deadline);
    if (!roots.ok()) {
      co_return std::move(roots).error();
    }
    SSL_CTX_set1_cert_store(context.native_handle(), roots->get());
  }
  auto endpoints = co_await resolver_.Resolve(request.url);
  if (!endpoints.ok()) {
    co_return std::move(endpoints).error();
  }
  const auto executor = co_await asio::this_coro::executor;
  TlsStream stream(executor, context);
  auto connected = co_await Connect(
      stream.next_layer(), request.url.Authority(), *std::move(endpoints), deadline);
  if (!connected.ok()) {
    co_return std::move(connected).error();
  }
  if (!encrypted) {
    co_return co_await Transact(stream.next_layer(), *text, request.max_response_bytes, fate);
  }
  auto secured = co_await Handshake(stream, request.url, check);
  if (!secured.ok()) {
    co_return std::move(secured).error();
  }
  co_return co_await Transact(stream, *text, request.max_response_bytes, fate);
}

Task<HttpOutcome> HttpClient::Send(HttpRequest request, Deadline deadline) {
  HttpOutcome outcome;
  outcome.response = co_await WithDeadline(deadline, Converse(request, outcome.fate, deadline));
  co_return outcome;
}

}  // namespace credence
