#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/channel_arguments.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "base/core/clock.h"
#include "base/core/testing/ignore_sigpipe.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"
#include "base/crypto/certificate.h"
#include "base/crypto/tls_server_context.h"
#include "base/h2/server.h"
#include "base/svid/testing/test_authority.h"
#include "base/wire/transport.h"

// gRPC's own C++ client against this server by TLS, on threads of its own; ours serves and waits.
namespace credence::h2 {
namespace {

using grpc::experimental::IdentityKeyCertPair;
using grpc::experimental::StaticDataCertificateProvider;
using grpc::experimental::TlsChannelCredentialsOptions;
using testing::ElementsAre;
using testing::IsEmpty;

/// Valid now, whatever the clock says; gRPC's client looks at the real one.
CertificateSpec ValidNow(CertificateSpec spec) {
  const WallTime now = SystemClock().Now();
  spec.not_before = now - std::chrono::minutes(5);
  spec.not_after = now + std::chrono::minutes(30);
  return spec;
}

grpc::ByteBuffer BufferOf(std::string_view text) {
  const grpc::Slice slice(text.data(), text.size());
  return grpc::ByteBuffer(&slice, 1);
}

std::string TextOf(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string text;
  if (buffer.Dump(&slices).ok()) {
    for (const grpc::Slice& slice : slices) {
      text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
  }
  return text;
}

/// Accepts what chains to the roots; the name is nobody's business here.
class AnyName final : public grpc::experimental::ExternalCertificateVerifier {
 public:
  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* /*request*/,
              std::function<void(grpc::Status)> /*callback*/,
              grpc::Status* status) override {
    *status = grpc::Status::OK;
    return true;
  }
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest* /*request*/) override {}
};

class TlsServerTest : public testing::Test {
 protected:
  TlsServerTest() { UseServerCertificate(root_); }

  ~TlsServerTest() override {
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
    if (server_) {
      RunTask(io_, server_->Stop(Deadline::After(std::chrono::seconds(2))));
    }
  }

  void UseServerCertificate(const TestAuthority& by) {
    auto context = MakeTlsServerContext(TlsServerOptions{
        {by.Issue(TestKey(KeyType::kEcP256), ValidNow(CertificateSpec::Leaf("spiffe://a/server")))},
        TestKey(KeyType::kEcP256),
        {"h2"},
        [this](const std::vector<std::string>& chain) {
          asked_about_ = chain;
          return accept_client_;
        }});
    ASSERT_THAT(context, IsOk());
    context_ = *std::move(context);
  }

  void Listen(ServerOptions options = {}) {
    server_ = std::make_unique<Server>(io_.get_executor(), options);
    server_->HandleUnary("/t/Echo", [this](std::shared_ptr<ServerCall> call, std::string request) {
      return Echo(std::move(call), std::move(request));
    });
    const auto port = server_->ListenTls("127.0.0.1", 0, [this] { return context_; });
    ASSERT_THAT(port, IsOk());
    port_ = *port;
  }

  Task<UnaryReply> Echo(std::shared_ptr<ServerCall> call, std::string request) {
    EXPECT_EQ(call->caller(), nullptr);
    peer_ = call->tls_peer();
    co_return std::make_shared<const SecretBytes>(SecretBytes::CopyOf(request));
  }

  std::unique_ptr<grpc::GenericStub> Connect(const TestAuthority& trusted,
                                             const std::string& own_certificate = "") {
    std::vector<IdentityKeyCertPair> own;
    if (!own_certificate.empty()) {
      own.push_back({std::string(TestKey(KeyType::kEcP256).ToPkcs8Pem().Reveal()),
                     CertificateToPem(own_certificate)});
    }
    const std::string roots = CertificateToPem(trusted.certificate());
    TlsChannelCredentialsOptions options;
    options.set_certificate_provider(
        own.empty() ? std::make_shared<StaticDataCertificateProvider>(roots)
                    : std::make_shared<StaticDataCertificateProvider>(roots, own));
    options.watch_root_certs();
    if (!own.empty()) {
      options.watch_identity_key_cert_pairs();
    }
    options.set_check_call_host(false);
    options.set_certificate_verifier(
        grpc::experimental::ExternalCertificateVerifier::Create<AnyName>());
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetMaxReceiveMessageSize(-1);
    return std::make_unique<grpc::GenericStub>(
        grpc::CreateCustomChannel(fmt::format("127.0.0.1:{}", port_),
                                  grpc::experimental::TlsCredentials(options),
                                  arguments));
  }

  grpc::Status Call(grpc::GenericStub& stub, std::string_view request, std::string* reply) {
    grpc::ClientContext context;
    const grpc::ByteBuffer message = BufferOf(request);
    auto call = stub.PrepareUnaryCall(&context, "/t/Echo", message, &queue_);
    call->StartCall();
    grpc::ByteBuffer answer;
    grpc::Status status;
    call->Finish(&answer, &status, this);
    void* tag = nullptr;
    bool ok = false;
    EXPECT_TRUE(RunUntil([&] {
      return queue_.AsyncNext(&tag, &ok, gpr_inf_past(GPR_CLOCK_MONOTONIC)) ==
             grpc::CompletionQueue::GOT_EVENT;
    }));
    *reply = TextOf(answer);
    return status;
  }

  bool RunUntil(const std::function<bool()>& reached) {
    const Deadline end = Deadline::After(std::chrono::seconds(20));
    while (!reached()) {
      if (end.Passed()) {
        return false;
      }
      io_.run_for(std::chrono::milliseconds(1));
      io_.restart();
    }
    return true;
  }

  /// A plain connection to the server's port.
  UniqueFd ConnectPlainly(const char* from = "127.0.0.1") const {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    EXPECT_EQ(inet_pton(AF_INET, from, &address.sin_addr), 1);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port_);
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
  }

  bool HasHungUp(int fd) const {
    char byte = 0;
    ssize_t count = 0;
    do {
      count = recv(fd, &byte, 1, MSG_DONTWAIT);  // an alert may come first
    } while (count > 0);
    return count == 0 || (errno != EAGAIN && errno != EINTR);
  }

  asio::io_context io_;
  TestAuthority root_ = TestAuthority::Root(ValidNow(CertificateSpec::Ca("root")));
  TlsServerContext context_;
  std::unique_ptr<Server> server_;
  std::uint16_t port_ = 0;
  grpc::CompletionQueue queue_;
  bool accept_client_ = true;
  std::vector<std::string> asked_about_;
  std::shared_ptr<const TlsPeer> peer_;
};

TEST_F(TlsServerTest, AClientWithoutCertificateIsServedAndHasNone) {
  Listen();
  const auto stub = Connect(root_);
  std::string reply;
  const grpc::Status status = Call(*stub, "hello", &reply);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(reply, "hello");
  ASSERT_NE(peer_, nullptr);
  EXPECT_THAT(peer_->chain, IsEmpty());
  EXPECT_EQ(peer_->address, "127.0.0.1");
}

TEST_F(TlsServerTest, ACallKnowsTheCertificateOfItsClient) {
  Listen();
  const std::string own =
      root_.Issue(TestKey(KeyType::kEcP256), ValidNow(CertificateSpec::Leaf("spiffe://a/client")));
  const auto stub = Connect(root_, own);
  std::string reply;
  EXPECT_TRUE(Call(*stub, "hello", &reply).ok());
  ASSERT_NE(peer_, nullptr);
  // gRPC's client shows the root too, which it knows.
  EXPECT_THAT(peer_->chain, ElementsAre(own, root_.certificate()));
  EXPECT_EQ(asked_about_, peer_->chain);
}

TEST_F(TlsServerTest, ARefusedCertificateEndsTheHandshake) {
  Listen();
  accept_client_ = false;
  const auto stub = Connect(
      root_,
      root_.Issue(TestKey(KeyType::kEcP256), ValidNow(CertificateSpec::Leaf("spiffe://a/client"))));
  std::string reply;
  EXPECT_EQ(Call(*stub, "hello", &reply).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(peer_, nullptr);
  accept_client_ = true;
  const auto other = Connect(root_);
  EXPECT_TRUE(Call(*other, "hello", &reply).ok());
}

TEST_F(TlsServerTest, LargeMessagesGoThroughManyRecords) {
  Listen();
  const auto stub = Connect(root_);
  std::string large(std::size_t{3} << 20, 'x');
  std::string reply;
  const grpc::Status status = Call(*stub, large, &reply);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(reply == large);
}

TEST_F(TlsServerTest, ANewCertificateIsForNewConnectionsAndOldOnesGoOn) {
  Listen();
  const auto old_stub = Connect(root_);
  std::string reply;
  EXPECT_TRUE(Call(*old_stub, "one", &reply).ok());
  const TestAuthority next = TestAuthority::Root(ValidNow(CertificateSpec::Ca("next")));
  UseServerCertificate(next);
  EXPECT_TRUE(Call(*old_stub, "two", &reply).ok());
  EXPECT_EQ(server_->stats().accepted, 1U);
  const auto late = Connect(root_);
  EXPECT_FALSE(Call(*late, "three", &reply).ok());
  const auto new_stub = Connect(next);
  EXPECT_TRUE(Call(*new_stub, "four", &reply).ok());
}

TEST_F(TlsServerTest, GarbageInsteadOfAHandshakeClosesThatConnectionOnly) {
  Listen();
  const UniqueFd garbage = ConnectPlainly();
  const std::string_view request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  ASSERT_EQ(send(garbage.get(), request.data(), request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(request.size()));
  EXPECT_TRUE(RunUntil([&] { return HasHungUp(garbage.get()); }));
  const auto stub = Connect(root_);
  std::string reply;
  EXPECT_TRUE(Call(*stub, "hello", &reply).ok());
}

TEST_F(TlsServerTest, ARecordWithoutDataEndsTheRead) {
  std::array<int, 2> ends{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
  const UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  const auto server =
      MakeTlsServerTransport(ours.get(), context_, [](ssl_st* /*connection*/) { return Ok(); });
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()),
                                                             &SSL_CTX_free);
  const std::unique_ptr<SSL, void (*)(SSL*)> client(SSL_new(context.get()), &SSL_free);
  constexpr std::array<unsigned char, 3> kH2{2, 'h', '2'};
  SSL_set_alpn_protos(client.get(), kH2.data(), kH2.size());
  SSL_set_fd(client.get(), theirs.get());
  std::array<std::uint8_t, 4096> buffer{};
  for (int i = 0; i < 10 && !server->TakesBytes(); ++i) {
    SSL_connect(client.get());
    (void)server->Read(buffer);
  }
  ASSERT_TRUE(server->TakesBytes());
  // A peer that never stops sending them would else keep one read going for ever.
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(SSL_key_update(client.get(), SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    ASSERT_EQ(SSL_do_handshake(client.get()), 1);
  }
  const auto moved = server->Read(buffer);
  EXPECT_EQ(moved.bytes, 0U);
  EXPECT_EQ(moved.state, Transport::State::kOpen);
  int unread = 0;
  ASSERT_EQ(ioctl(ours.get(), FIONREAD, &unread), 0);
  EXPECT_GT(unread, 0);
}

TEST_F(TlsServerTest, WhoNeverBeginsAHandshakeIsCut) {
  Listen({.preface_timeout = std::chrono::milliseconds(100)});
  const UniqueFd silent = ConnectPlainly();
  EXPECT_TRUE(RunUntil([&] { return server_->stats().accepted == 1; }));
  EXPECT_TRUE(RunUntil([&] { return HasHungUp(silent.get()); }));
  EXPECT_TRUE(RunUntil([&] { return server_->stats().connections == 0; }));
}

TEST_F(TlsServerTest, WithoutAContextNobodyIsServed) {
  Listen();
  context_ = nullptr;
  const UniqueFd plain = ConnectPlainly();
  EXPECT_TRUE(RunUntil([&] { return HasHungUp(plain.get()); }));
  EXPECT_EQ(server_->stats().connections_refused, 1U);
}

TEST_F(TlsServerTest, OneAddressHasItsShareOfConnections) {
  Listen({.max_connections_per_uid = 2});
  const UniqueFd first = ConnectPlainly();
  const UniqueFd second = ConnectPlainly();
  const UniqueFd third = ConnectPlainly();
  EXPECT_TRUE(RunUntil([&] { return HasHungUp(third.get()); }));
  EXPECT_FALSE(HasHungUp(first.get()));
  EXPECT_EQ(server_->stats().connections, 2U);
}

TEST_F(TlsServerTest, AddressesThatTakeAllTheyCanLeaveConnectionsToOthers) {
  Listen({.max_connections = 10});
  std::vector<UniqueFd> greedy;
  for (int i = 0; i < 10; ++i) {
    greedy.push_back(ConnectPlainly("127.0.0.2"));
    greedy.push_back(ConnectPlainly("127.0.0.3"));
  }
  ASSERT_TRUE(RunUntil([&] { return server_->stats().connections_refused > 0; }));
  const auto stub = Connect(root_);
  std::string reply;
  EXPECT_TRUE(Call(*stub, "hello", &reply).ok());
  const auto stats = server_->stats();
  EXPECT_EQ(stats.accepted + stats.connections_refused, 21U);
  EXPECT_EQ(stats.connections, 7U);
}

TEST_F(TlsServerTest, ATakenPortAndATextThatIsNoAddressAreRefused) {
  Listen();
  Server other(io_.get_executor(), {});
  const auto source = [this] { return context_; };
  EXPECT_THAT(other.ListenTls("127.0.0.1", port_, source), FailsWithCode(Code::kAlreadyExists));
  EXPECT_THAT(other.ListenTls("localhost", 0, source), FailsWithCode(Code::kInvalidArgument));
}

TEST(TlsServerContextTest, AKeyThatIsNotTheCertificatesIsRefused) {
  const TestAuthority root = TestAuthority::Root();
  const std::string certificate =
      root.Issue(TestKey(KeyType::kEcP256), CertificateSpec::Leaf("spiffe://a/b"));
  EXPECT_THAT(
      MakeTlsServerContext(TlsServerOptions{{certificate}, TestKey(KeyType::kEcP384), {}, nullptr}),
      FailsWithCode(Code::kInvalidArgument));
  EXPECT_THAT(MakeTlsServerContext(TlsServerOptions{{}, TestKey(KeyType::kEcP256), {}, nullptr}),
              FailsWithCode(Code::kInvalidArgument));
  EXPECT_THAT(
      MakeTlsServerContext(TlsServerOptions{{"junk"}, TestKey(KeyType::kEcP256), {}, nullptr}),
      FailsWithCode(Code::kInvalidArgument));
}

}  // namespace
}  // namespace credence::h2
