#pragma once

#include <cstdint>
#include <string>

#include "base/core/result.h"
#include "base/core/unique_fd.h"

namespace credence::h2 {

struct TcpListener {
  /// Non-blocking, listening.
  UniqueFd fd;
  std::uint16_t port = 0;
};

/// `address` is an IP address in text, `port` 0 for any. Errors: as Server::ListenTls.
Result<TcpListener> ListenTcp(const std::string& address, std::uint16_t port);

/// Who has connected.
struct TcpClient {
  /// "" if the kernel does not know any more.
  std::string address;
  /// The same for all addresses that one party is likely to have: an IPv4 address, an IPv6 /64.
  std::uint64_t party = 0;
};

/// Also has the kernel send small pieces at once.
TcpClient ClientOf(int socket);

}  // namespace credence::h2
