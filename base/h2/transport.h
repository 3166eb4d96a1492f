#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/core/unique_fd.h"
#include "base/crypto/tls_server_context.h"
#include "base/h2/server_call.h"

namespace credence::h2 {

/// The bytes of one connection over its non-blocking socket. Threads: core thread.
class Transport {
 public:
  enum class State {
    kOpen,
    /// The client has hung up or broke the protocol.
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

 protected:
  Transport() = default;
};

/// `socket` is borrowed.
std::unique_ptr<Transport> MakePlainTransport(int socket);

/// Speaks TLS as a server. What the client shows is put into `peer` once the handshake is over,
/// which is before the first byte is read. Null when out of memory.
std::unique_ptr<Transport> MakeTlsTransport(int socket,
                                            TlsServerContext context,
                                            std::shared_ptr<TlsPeer> peer);

}  // namespace credence::h2
