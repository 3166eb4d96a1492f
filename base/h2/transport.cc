#include "base/h2/transport.h"

#include <errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <climits>
#include <string>
#include <utility>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/crypto/openssl.h"

namespace credence::h2 {
namespace {

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(int socket) : socket_(socket) {}

  Moved Read(std::span<std::uint8_t> buffer) override {
    const ssize_t count = recv(socket_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    return count == 0 ? Moved{.state = State::kClosed} : Outcome(count);
  }
  Moved Write(std::span<const std::uint8_t> bytes) override {
    return Outcome(send(socket_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
  }

 private:
  static Moved Outcome(ssize_t count) {
    if (count >= 0) {
      return Moved{.bytes = static_cast<std::size_t>(count)};
    }
    const bool wait = errno == EAGAIN || errno == EINTR;
    return Moved{.state = wait ? State::kOpen : State::kClosed};
  }

  int socket_;
};

int EncodeCertificate(X509* certificate, unsigned char** out) {
  return i2d_X509(certificate, out);
}

struct FreeSsl {
  void operator()(SSL* connection) const { SSL_free(connection); }
};

class TlsTransport final : public Transport {
 public:
  TlsTransport(std::unique_ptr<SSL, FreeSsl> connection,
               TlsServerContext context,
               std::shared_ptr<TlsPeer> peer)
      : context_(std::move(context)), connection_(std::move(connection)), peer_(std::move(peer)) {}

  ~TlsTransport() override {
    if (SSL_is_init_finished(connection_.get()) == 1 && !broken_) {
      SSL_shutdown(connection_.get());  // the notice only; nobody waits for an answer
    }
    ERR_clear_error();
  }

  Moved Read(std::span<std::uint8_t> buffer) override {
    if (SSL_is_init_finished(connection_.get()) != 1) {
      ERR_clear_error();
      const int done = SSL_do_handshake(connection_.get());
      if (done != 1) {
        return Waits(done);
      }
      TakePeer();
    }
    ERR_clear_error();
    const int count = SSL_read(connection_.get(), buffer.data(), Bounded(buffer.size()));
    return count > 0 ? Moved{.bytes = static_cast<std::size_t>(count)} : Waits(count);
  }

  Moved Write(std::span<const std::uint8_t> bytes) override {
    ERR_clear_error();
    const int count = SSL_write(connection_.get(), bytes.data(), Bounded(bytes.size()));
    return count > 0 ? Moved{.bytes = static_cast<std::size_t>(count)} : Waits(count);
  }

  bool TakesBytes() const override { return SSL_is_init_finished(connection_.get()) == 1; }
  bool HoldsInput() const override { return SSL_pending(connection_.get()) > 0; }
  bool ReadWaitsForWrite() const override { return SSL_want_write(connection_.get()); }

 private:
  static int Bounded(std::size_t size) {
    return static_cast<int>(std::min<std::size_t>(size, INT_MAX));
  }

  Moved Waits(int outcome) {
    const int error = SSL_get_error(connection_.get(), outcome);
    ERR_clear_error();
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
      return Moved{};
    }
    broken_ = true;
    return Moved{.state = State::kClosed};
  }

  void TakePeer() {
    X509* leaf = SSL_get0_peer_certificate(connection_.get());
    if (leaf == nullptr) {
      return;
    }
    peer_->chain.push_back(ToDer(leaf, &EncodeCertificate));
    // A server's view of the rest lacks the leaf.
    const STACK_OF(X509)* others = SSL_get_peer_cert_chain(connection_.get());
    for (int i = 0; i < sk_X509_num(others); ++i) {
      peer_->chain.push_back(ToDer(sk_X509_value(others, i), &EncodeCertificate));
    }
  }

  /// Holds what the callbacks of the connection use, so it goes last.
  TlsServerContext context_;
  std::unique_ptr<SSL, FreeSsl> connection_;
  std::shared_ptr<TlsPeer> peer_;
  bool broken_ = false;
};

}  // namespace

std::unique_ptr<Transport> MakePlainTransport(int socket) {
  return std::make_unique<PlainTransport>(socket);
}

std::unique_ptr<Transport> MakeTlsTransport(int socket,
                                            TlsServerContext context,
                                            std::shared_ptr<TlsPeer> peer) {
  std::unique_ptr<SSL, FreeSsl> connection(SSL_new(context.get()));
  if (connection == nullptr || SSL_set_fd(connection.get(), socket) != 1) {
    ERR_clear_error();
    return nullptr;
  }
  SSL_set_accept_state(connection.get());
  return std::make_unique<TlsTransport>(std::move(connection), std::move(context), std::move(peer));
}

}  // namespace credence::h2
