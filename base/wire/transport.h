#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "base/core/result.h"

struct ssl_ctx_st;
struct ssl_st;

namespace credence::h2 {

/// The bytes of one connection over its non-blocking socket. Threads: core thread.
class Transport {
 public:
  enum class State {
    kOpen,
    /// The peer has hung up or broke the protocol.
    kClosed,
  };
  struct Moved {
    /// 0 in an open transport: wait for the socket.
    std::size_t bytes = 0;
    State state = State::kOpen;
  };

  virtual ~Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  virtual Moved Read(std::span<std::uint8_t> buffer) = 0;
  /// After a write that moved nothing the next one begins with the same bytes.
  virtual Moved Write(std::span<const std::uint8_t> bytes) = 0;
  /// False while a handshake goes on, which reading moves.
  virtual bool TakesBytes() const { return true; }
  /// There is more to read that the socket will not announce.
  virtual bool HoldsInput() const { return false; }
  /// Reading goes on once the socket takes bytes.
  virtual bool ReadWaitsForWrite() const { return false; }
  /// Once it is closed: why, in a few words.
  const std::string& why_closed() const { return why_closed_; }

 protected:
  Transport() = default;
  Moved Closed(std::string why) {
    why_closed_ = std::move(why);
    return Moved{.state = State::kClosed};
  }

 private:
  std::string why_closed_;
};

/// `socket` is borrowed.
std::unique_ptr<Transport> MakePlainTransport(int socket);

/// Asked once the handshake is over, which is before the first byte is read; an error closes the
/// transport with its message.
using TlsOpened = std::function<Result<void>(ssl_st*)>;

/// Speak TLS over `socket`, which is borrowed; reading moves the handshake, also a client's. Writes
/// raise SIGPIPE when the peer has gone: the process ignores that. Null when out of memory.
std::unique_ptr<Transport> MakeTlsServerTransport(int socket,
                                                  std::shared_ptr<ssl_ctx_st> context,
                                                  TlsOpened opened);
/// `server_name` goes into the handshake unless it is "".
std::unique_ptr<Transport> MakeTlsClientTransport(int socket,
                                                  std::shared_ptr<ssl_ctx_st> context,
                                                  const std::string& server_name,
                                                  TlsOpened opened);

}  // namespace credence::h2
