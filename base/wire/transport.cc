#include "base/wire/transport.h"

#include <errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <climits>
#include <string>
#include <system_error>
#include <utility>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/crypto/openssl.h"
#include "base/crypto/tls_client_context.h"

namespace credence::h2 {
namespace {

constexpr const char* kHungUp = "the peer hung up";

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(int socket) : socket_(socket) {}

  Moved Read(std::span<std::uint8_t> buffer) override {
    const ssize_t count = recv(socket_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    return count == 0 ? Closed(kHungUp) : Outcome(count);
  }
  Moved Write(std::span<const std::uint8_t> bytes) override {
    return Outcome(send(socket_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
  }

 private:
  Moved Outcome(ssize_t count) {
    if (count >= 0) {
      return Moved{.bytes = static_cast<std::size_t>(count)};
    }
    const int error = errno;
    if (error == EAGAIN || error == EINTR) {
      return Moved{};
    }
    return Closed(std::system_category().message(error));
  }

  int socket_;
};

struct FreeSsl {
  void operator()(SSL* connection) const { SSL_free(connection); }
};

class TlsTransport final : public Transport {
 public:
  TlsTransport(std::unique_ptr<SSL, FreeSsl> connection,
               std::shared_ptr<SSL_CTX> context,
               TlsOpened opened)
      : context_(std::move(context)),
        connection_(std::move(connection)),
        opened_(std::move(opened)) {
    // Else one SSL_read goes on for as long as the peer sends records without data.
    SSL_clear_mode(connection_.get(), SSL_MODE_AUTO_RETRY);
  }

  ~TlsTransport() override {
    if (open_ && !broken_) {
      SSL_shutdown(connection_.get());  // the notice only; nobody waits for an answer
    }
    ERR_clear_error();
  }

  Moved Read(std::span<std::uint8_t> buffer) override {
    if (broken_) {
      return Moved{.state = State::kClosed};
    }
    if (!open_) {
      ERR_clear_error();
      const int done = SSL_do_handshake(connection_.get());
      if (done != 1) {
        return Waits(done);
      }
      if (const auto opened = opened_(connection_.get()); !opened.ok()) {
        broken_ = true;
        return Closed(opened.error().message());
      }
      open_ = true;
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

  bool TakesBytes() const override { return open_; }
  bool HoldsInput() const override { return SSL_pending(connection_.get()) > 0; }
  bool ReadWaitsForWrite() const override { return SSL_want_write(connection_.get()); }

 private:
  static int Bounded(std::size_t size) {
    return static_cast<int>(std::min<std::size_t>(size, INT_MAX));
  }

  Moved Waits(int outcome) {
    const int failure = errno;
    const int error = SSL_get_error(connection_.get(), outcome);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
      ERR_clear_error();
      return Moved{};
    }
    broken_ = true;
    std::string why = TakeOpenSslReason();
    if (error == SSL_ERROR_SYSCALL && why.empty() && failure != 0) {
      why = std::system_category().message(failure);
    }
    return Closed(why.empty() ? kHungUp : std::move(why));
  }

  /// Holds what the callbacks of the connection use, so it goes last.
  std::shared_ptr<SSL_CTX> context_;
  std::unique_ptr<SSL, FreeSsl> connection_;
  TlsOpened opened_;
  bool open_ = false;
  bool broken_ = false;
};

std::unique_ptr<SSL, FreeSsl> NewConnection(int socket, SSL_CTX* context) {
  std::unique_ptr<SSL, FreeSsl> connection(SSL_new(context));
  if (connection != nullptr && SSL_set_fd(connection.get(), socket) != 1) {
    connection.reset();
  }
  ERR_clear_error();
  return connection;
}

}  // namespace

std::unique_ptr<Transport> MakePlainTransport(int socket) {
  return std::make_unique<PlainTransport>(socket);
}

std::unique_ptr<Transport> MakeTlsServerTransport(int socket,
                                                  std::shared_ptr<ssl_ctx_st> context,
                                                  TlsOpened opened) {
  auto connection = NewConnection(socket, context.get());
  if (connection == nullptr) {
    return nullptr;
  }
  SSL_set_accept_state(connection.get());
  return std::make_unique<TlsTransport>(
      std::move(connection), std::move(context), std::move(opened));
}

std::unique_ptr<Transport> MakeTlsClientTransport(int socket,
                                                  std::shared_ptr<ssl_ctx_st> context,
                                                  const std::string& server_name,
                                                  TlsOpened opened) {
  auto connection = NewConnection(socket, context.get());
  if (connection == nullptr) {
    return nullptr;
  }
  SSL_set_connect_state(connection.get());
  if (!server_name.empty()) {
    NameServer(connection.get(), server_name);
  }
  return std::make_unique<TlsTransport>(
      std::move(connection), std::move(context), std::move(opened));
}

}  // namespace credence::h2
