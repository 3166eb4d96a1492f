#include "base/h2/listen_tcp.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"

namespace credence::h2 {
namespace {

/// Who a listener at `address` takes a client for that connects by IPv4 from `source`.
TcpClient SeenFrom(const std::string& address, const char* source) {
  const auto listener = ListenTcp(address, 0);
  EXPECT_THAT(listener, IsOk());
  const UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in from{};
  from.sin_family = AF_INET;
  EXPECT_EQ(inet_pton(AF_INET, source, &from.sin_addr), 1);
  EXPECT_EQ(bind(client.get(), reinterpret_cast<sockaddr*>(&from), sizeof from), 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(listener->port);
  EXPECT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  pollfd ready{listener->fd.get(), POLLIN, 0};
  EXPECT_EQ(poll(&ready, 1, 10'000), 1);
  const UniqueFd taken(accept(listener->fd.get(), nullptr, nullptr));
  return ClientOf(taken.get());
}

TEST(ClientOfTest, EachIPv4AddressIsAPartyByWhateverListenerItComes) {
  const TcpClient one = SeenFrom("127.0.0.1", "127.0.0.2");
  EXPECT_EQ(one.address, "127.0.0.2");
  EXPECT_NE(one.party, 0U);
  const TcpClient mapped = SeenFrom("::", "127.0.0.2");
  EXPECT_EQ(mapped.address, "127.0.0.2");
  EXPECT_EQ(mapped.party, one.party);
  EXPECT_NE(SeenFrom("::", "127.0.0.3").party, one.party);
}

}  // namespace
}  // namespace credence::h2
