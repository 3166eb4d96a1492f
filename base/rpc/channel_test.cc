#include "base/rpc/channel.h"

#include <array>
#include <chrono>
#include <string>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/task_group.h"
#include "base/core/testing/ignore_sigpipe.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"
#include "base/crypto/tls_server_context.h"
#include "base/rpc/call.h"
#include "base/wire/transport.h"
#include "tests/testkit/fake_spire_server.h"

#include "spire/api/server/agent/v1/agent.pb.h"
#include "spire/api/server/bundle/v1/bundle.pb.h"

namespace credence {
namespace {

using spire::api::server::agent::v1::PostStatusRequest;
using spire::api::server::agent::v1::PostStatusResponse;
using spire::api::server::bundle::v1::GetBundleRequest;
using testing::HasSubstr;
using namespace std::chrono_literals;

constexpr RpcMethod<GetBundleRequest, spire::api::types::Bundle> kGetBundle{
    "/spire.api.server.bundle.v1.Bundle/GetBundle"};
constexpr RpcMethod<PostStatusRequest, PostStatusResponse> kPostStatus{
    "/spire.api.server.agent.v1.Agent/PostStatus"};

SpiffeId ServerId() {
  return *SpiffeId::Parse("spiffe://example.org/spire/server");
}

class ChannelTest : public testing::Test {
 protected:
  TlsTarget Target(const testkit::FakeSpireServer& server, RpcTrust trust) {
    return TlsTarget{
        fmt::format("127.0.0.1:{}", server.port()), ServerId(), std::move(trust), std::nullopt};
  }
  TlsTarget TrustingTarget(const testkit::FakeSpireServer& server) {
    return Target(server, TrustAuthorities{{server.ca().certificate()}});
  }

  /// Needs no client certificate.
  Result<void> Fetch(TlsTarget target, std::chrono::milliseconds within = 10s) {
    auto channel = MakeTlsChannel(client_, std::move(target));
    if (!channel.ok()) {
      return channel.error();
    }
    auto call = CallUnary(*channel, kGetBundle, GetBundleRequest(), Deadline::After(within));
    auto outcome = RunTask(io_, std::move(call));
    return outcome.response.ok() ? Ok() : Result<void>(outcome.response.error());
  }

  /// Needs one.
  Result<void> Post(TlsTarget target) {
    auto channel = MakeTlsChannel(client_, std::move(target));
    if (!channel.ok()) {
      return channel.error();
    }
    auto call = CallUnary(*channel, kPostStatus, PostStatusRequest(), Deadline::After(10s));
    auto outcome = RunTask(io_, std::move(call));
    return outcome.response.ok() ? Ok() : Result<void>(outcome.response.error());
  }

  asio::io_context io_;
  asio::thread_pool pool_{1};
  RpcClient client_{io_.get_executor(), pool_};
};

RpcIdentity AgentFrom(const testkit::SpiffeCa& ca, std::chrono::seconds ends = 1h) {
  testkit::LeafOptions leaf;
  leaf.uris = {"spiffe://example.org/spire/agent/x"};
  leaf.starts = -2h;
  leaf.ends = ends;
  auto issued = ca.Issue(leaf);
  return RpcIdentity{std::move(issued.certificates), std::move(issued.key)};
}

TEST_F(ChannelTest, TrustedServerWithTheRightIdIsAccepted) {
  const testkit::FakeSpireServer server;
  EXPECT_THAT(Fetch(TrustingTarget(server)), IsOk());
}

TEST_F(ChannelTest, OneOfSeveralAuthoritiesIsEnough) {
  const testkit::FakeSpireServer server;
  const testkit::SpiffeCa other("example.org");
  EXPECT_THAT(
      Fetch(Target(server, TrustAuthorities{{other.certificate(), server.ca().certificate()}})),
      IsOk());
}

TEST_F(ChannelTest, ServerOfAnotherAuthorityIsRefused) {
  const testkit::FakeSpireServer server;
  const testkit::SpiffeCa other("example.org");
  EXPECT_THAT(Fetch(Target(server, TrustAuthorities{{other.certificate()}})),
              FailsWith(Code::kUnavailable, HasSubstr("certificate verify failed")));
}

TEST_F(ChannelTest, ServerWithAnotherIdIsRefused) {
  const testkit::FakeSpireServer server(
      {.trust_domain = "example.org", .server_uris = {"spiffe://example.org/other"}});
  EXPECT_THAT(
      Fetch(TrustingTarget(server)),
      FailsWith(Code::kUnavailable, HasSubstr("not that of spiffe://example.org/spire/server")));
}

TEST_F(ChannelTest, ServerWithTwoIdsIsRefused) {
  const testkit::FakeSpireServer server(
      {.trust_domain = "example.org",
       .server_uris = {"spiffe://example.org/spire/server", "spiffe://example.org/other"}});
  EXPECT_THAT(Fetch(TrustingTarget(server)), FailsWithCode(Code::kUnavailable));
}

TEST_F(ChannelTest, FirstContactAcceptsAnyChainButNotAnyId) {
  const testkit::FakeSpireServer right;
  EXPECT_THAT(Fetch(Target(right, TrustAnyChain{})), IsOk());
  const testkit::FakeSpireServer wrong(
      {.trust_domain = "example.org", .server_uris = {"spiffe://example.org/other"}});
  EXPECT_THAT(Fetch(Target(wrong, TrustAnyChain{})), FailsWithCode(Code::kUnavailable));
}

TEST_F(ChannelTest, EmptyTrustIsRefusedBeforeAnyConnection) {
  const testkit::FakeSpireServer server;
  EXPECT_THAT(Fetch(Target(server, TrustAuthorities{})), FailsWithCode(Code::kInvalidArgument));
}

TEST_F(ChannelTest, ClientCertificateIsShown) {
  const testkit::FakeSpireServer server;
  auto target = TrustingTarget(server);
  EXPECT_THAT(Post(target), FailsWithCode(Code::kUnauthenticated));
  target.identity = AgentFrom(server.ca());
  EXPECT_THAT(Post(target), IsOk());
}

TEST_F(ChannelTest, ChannelsNeverShareConnections) {
  const testkit::FakeSpireServer server;
  auto target = TrustingTarget(server);
  target.identity = AgentFrom(server.ca());
  const auto with_identity = MakeTlsChannel(client_, target);
  EXPECT_THAT(Post(target), IsOk());
  target.identity.reset();
  EXPECT_THAT(Post(target), FailsWithCode(Code::kUnauthenticated));
}

TEST_F(ChannelTest, ClientCertificateOfAnotherAuthorityOrPastItsEndGetsNoConnection) {
  const testkit::FakeSpireServer server;
  const testkit::SpiffeCa other("example.org");
  auto target = TrustingTarget(server);
  target.identity = AgentFrom(other);
  EXPECT_THAT(Post(target), FailsWithCode(Code::kUnavailable));
  target.identity = AgentFrom(server.ca(), -1h);
  EXPECT_THAT(Post(target), FailsWithCode(Code::kUnavailable));
}

TEST_F(ChannelTest, ReconnectsAfterTheServerWasAway) {
  testkit::FakeSpireServer server;
  const auto target = TrustingTarget(server);
  server.Stop();
  EXPECT_THAT(Fetch(target), FailsWithCode(Code::kUnavailable));
  server.Start();
  EXPECT_THAT(Fetch(target), IsOk());
}

TEST_F(ChannelTest, ANameIsLookedUp) {
  const testkit::FakeSpireServer server;
  auto target = TrustingTarget(server);
  target.address = fmt::format("localhost:{}", server.port());
  EXPECT_THAT(Fetch(target), IsOk());
  target.address = "no-such-host.invalid:8081";
  EXPECT_THAT(Fetch(target),
              FailsWith(Code::kUnavailable,
                        HasSubstr("no-such-host.invalid:8081: host no-such-host.invalid was not")));
}

TEST_F(ChannelTest, AddressAndReasonAreNamed) {
  testkit::FakeSpireServer server;
  const auto target = TrustingTarget(server);
  server.Stop();
  EXPECT_THAT(Fetch(target),
              FailsWith(Code::kUnavailable,
                        fmt::format("cannot connect to {}: Connection refused", target.address)));
}

TEST_F(ChannelTest, WhatIsNoAddressIsRefused) {
  const testkit::FakeSpireServer server;
  auto target = TrustingTarget(server);
  for (const char* address :
       {"", "host", ":80", "host:", "host:x", "host:0", "host:70000", "::1:80"}) {
    target.address = address;
    EXPECT_THAT(Fetch(target), FailsWithCode(Code::kInvalidArgument)) << address;
  }
}

TEST_F(ChannelTest, ACertificateWithTheKeyOfAnotherIsRefused) {
  const testkit::FakeSpireServer server;
  auto target = TrustingTarget(server);
  target.identity = AgentFrom(server.ca());
  target.identity->key = AgentFrom(server.ca()).key;
  EXPECT_THAT(Fetch(target), FailsWithCode(Code::kInvalidArgument));
}

/// Accepts once, writes `words`, then reads until the client hangs up.
Task<void> AnswerWith(asio::ip::tcp::acceptor* acceptor, std::string words) {
  auto socket = co_await acceptor->async_accept(asio::use_awaitable);
  boost::system::error_code failed;
  co_await asio::async_write(
      socket, asio::buffer(words), asio::redirect_error(asio::use_awaitable, failed));
  char byte = 0;
  while (!failed && !words.empty()) {
    co_await socket.async_read_some(asio::buffer(&byte, 1),
                                    asio::redirect_error(asio::use_awaitable, failed));
  }
}

TEST_F(ChannelTest, WhatIsNoTlsServerIsUnavailable) {
  asio::ip::tcp::acceptor acceptor(io_, {asio::ip::address_v4::loopback(), 0});
  const testkit::SpiffeCa ca("example.org");
  const std::string record("\x16\x03\x03\x40\x00", 5);
  for (const std::string& words : {std::string(), std::string("SSH-2.0-x\r\n"), record}) {
    TlsTarget target{fmt::format("127.0.0.1:{}", acceptor.local_endpoint().port()),
                     ServerId(),
                     TrustAuthorities{{ca.certificate()}},
                     std::nullopt};
    TaskGroup tasks(io_.get_executor());
    tasks.Spawn("server", AnswerWith(&acceptor, words));
    EXPECT_THAT(Fetch(target, words == record ? 300ms : 5s),
                FailsWithCode(words == record ? Code::kDeadlineExceeded : Code::kUnavailable));
    client_.Close();
    RunTask(io_, tasks.Stop());
  }
}

Task<void> ShakeHands(asio::ip::tcp::acceptor* acceptor, TlsServerContext context) {
  auto socket = co_await acceptor->async_accept(asio::use_awaitable);
  socket.native_non_blocking(true);
  const auto transport =
      h2::MakeTlsServerTransport(socket.native_handle(), context, [](ssl_st*) { return Ok(); });
  std::array<std::uint8_t, 4096> buffer;
  boost::system::error_code failed;
  while (!failed && transport->Read(buffer).state == h2::Transport::State::kOpen) {
    co_await socket.async_wait(asio::ip::tcp::socket::wait_read,
                               asio::redirect_error(asio::use_awaitable, failed));
  }
}

TEST_F(ChannelTest, AServerWithoutHttp2IsRefused) {
  asio::ip::tcp::acceptor acceptor(io_, {asio::ip::address_v4::loopback(), 0});
  const testkit::SpiffeCa ca("example.org");
  testkit::LeafOptions leaf;
  leaf.uris = {ServerId().text()};
  auto issued = ca.Issue(leaf);
  const auto context =
      MakeTlsServerContext({std::move(issued.certificates), issued.key, {}, nullptr});
  ASSERT_THAT(context, IsOk());
  TaskGroup tasks(io_.get_executor());
  tasks.Spawn("server", ShakeHands(&acceptor, *context));
  EXPECT_THAT(Fetch({fmt::format("127.0.0.1:{}", acceptor.local_endpoint().port()),
                     ServerId(),
                     TrustAuthorities{{ca.certificate()}},
                     std::nullopt}),
              FailsWith(Code::kUnavailable, HasSubstr("does not speak HTTP/2")));
  client_.Close();
  RunTask(io_, tasks.Stop());
}

TEST_F(ChannelTest, UnixSocketNeedsAnAbsolutePath) {
  EXPECT_THAT(MakeUnixChannel(client_, ""), FailsWithCode(Code::kInvalidArgument));
  EXPECT_THAT(MakeUnixChannel(client_, "relative"), FailsWithCode(Code::kInvalidArgument));
  EXPECT_THAT(MakeUnixChannel(client_, "/" + std::string(200, 'x')),
              FailsWithCode(Code::kInvalidArgument));
}

}  // namespace
}  // namespace credence
