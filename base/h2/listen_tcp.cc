#include "base/h2/listen_tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include <fmt/format.h>

#include "base/core/file.h"

namespace credence::h2 {
namespace {

constexpr int kTcpBacklog = 1024;

/// An IPv4 or IPv6 address and its size.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);

  sockaddr* generic() { return reinterpret_cast<sockaddr*>(&storage); }
  sockaddr_in* v4() { return reinterpret_cast<sockaddr_in*>(&storage); }
  sockaddr_in6* v6() { return reinterpret_cast<sockaddr_in6*>(&storage); }
};

Result<SocketAddress> AddressOf(const std::string& text, std::uint16_t port) {
  SocketAddress address;
  if (inet_pton(AF_INET, text.c_str(), &address.v4()->sin_addr) == 1) {
    address.v4()->sin_family = AF_INET;
    address.v4()->sin_port = htons(port);
    address.size = sizeof(sockaddr_in);
    return address;
  }
  if (inet_pton(AF_INET6, text.c_str(), &address.v6()->sin6_addr) == 1) {
    address.v6()->sin6_family = AF_INET6;
    address.v6()->sin6_port = htons(port);
    address.size = sizeof(sockaddr_in6);
    return address;
  }
  return Error(Code::kInvalidArgument, fmt::format("\"{}\" is no IP address", text));
}

Error CannotListen(const std::string& address, std::uint16_t port) {
  const Code code = errno == EADDRINUSE ? Code::kAlreadyExists : CodeFromErrno(errno);
  return Error(code, fmt::format("listen on {} port {}: {}", address, port, ErrnoText(errno)));
}

TcpClient ClientAt(in_addr v4) {
  std::array<char, INET_ADDRSTRLEN> text{};
  inet_ntop(AF_INET, &v4, text.data(), text.size());
  return {.address = text.data(), .party = v4.s_addr};
}

}  // namespace

Result<TcpListener> ListenTcp(const std::string& address, std::uint16_t port) {
  auto wanted = AddressOf(address, port);
  if (!wanted.ok()) {
    return std::move(wanted).error();
  }
  UniqueFd fd(
      socket(wanted->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
  const int on = 1;
  if (!fd.valid() || setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      bind(fd.get(), wanted->generic(), wanted->size) != 0 || listen(fd.get(), kTcpBacklog) != 0) {
    return CannotListen(address, port);
  }
  SocketAddress bound;
  if (getsockname(fd.get(), bound.generic(), &bound.size) != 0) {
    return CannotListen(address, port);
  }
  // The port is at the same place in both families.
  return TcpListener{std::move(fd), ntohs(bound.v4()->sin_port)};
}

TcpClient ClientOf(int socket) {
  const int on = 1;
  (void)setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  SocketAddress address;
  if (getpeername(socket, address.generic(), &address.size) != 0) {
    return {};
  }
  if (address.storage.ss_family == AF_INET) {
    return ClientAt(address.v4()->sin_addr);
  }
  const in6_addr& v6 = address.v6()->sin6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&v6)) {
    constexpr std::size_t kPrefix = 12;
    in_addr v4{};
    std::memcpy(&v4, &v6.s6_addr[kPrefix], sizeof v4);
    return ClientAt(v4);
  }
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(AF_INET6, &v6, text.data(), text.size());
  TcpClient client{.address = text.data()};
  std::memcpy(&client.party, &v6, sizeof client.party);
  return client;
}

}  // namespace credence::h2
