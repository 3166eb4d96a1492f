#include "agent/upstream/node_identity.h"

#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/upstream/agent_data.h"
#include "agent/upstream/spire_server_client.h"
#include "attestors/node/join_token/join_token_attestor.h"
#include "attestors/node/x509pop/x509pop_attestor.h"
#include "base/core/file.h"
#include "base/core/task_group.h"
#include "base/core/testing/file_size_limit.h"
#include "base/core/testing/ignore_sigpipe.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"
#include "base/crypto/certificate.h"
#include "base/svid/testing/test_authority.h"
#include "plugins/keymanager/disk_key_manager.h"
#include "tests/testkit/fake_spire_server.h"

namespace credence {
namespace {

using spire::api::types::PermissionDeniedDetails;
using testing::HasSubstr;
using namespace std::chrono_literals;

constexpr const char* kToken = "9f9f62c2-3c2d-4d4a-8d3a-1f8f3e4a5b6c";

class NodeIdentityTest : public testing::Test {
 protected:
  NodeIdentityTest() {
    std::string pattern = "/tmp/credence-node-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    keys_ = *DiskKeyManager::Open(folder_ + "/keys");
    attestor_ = std::make_unique<JoinTokenAttestor>(
        std::make_shared<const SecretBytes>(SecretBytes::CopyOf(kToken)));
  }
  ~NodeIdentityTest() override { std::filesystem::remove_all(folder_); }

  std::string BundlePath() const { return folder_ + "/bundle.pem"; }
  std::string DataDir() const { return folder_ + "/data"; }

  void TrustServer() {
    ASSERT_THAT(WriteFileAtomically(BundlePath(), server_.ca().CertificatePem(), 0644), IsOk());
  }

  /// An attestor with a certificate that the server knows.
  void UseX509Pop() {
    const auto& key = TestKey(KeyType::kEcP256);
    const auto certificate = CertificateToPem(
        TestAuthority::Root().Issue(key, CertificateSpec::Leaf("spiffe://node/x")));
    ASSERT_THAT(WriteFileAtomically(folder_ + "/node.key", key.ToPkcs8Pem().Reveal(), 0600),
                IsOk());
    ASSERT_THAT(WriteFileAtomically(folder_ + "/node.crt", certificate, 0644), IsOk());
    attestor_ = std::make_unique<X509PopAttestor>(
        X509PopFiles{folder_ + "/node.key", folder_ + "/node.crt", ""}, pool_);
    server_.Change([&](auto& behaviour) {
      behaviour.x509pop_certificate = certificate;
      behaviour.reattestable = true;
    });
  }

  std::unique_ptr<NodeIdentity> MakeNode(BootstrapSource bootstrap, const Clock& clock) {
    NodeIdentity::Options options{
        *TrustDomain::Parse("example.org"), "127.0.0.1", server_.port(), DataDir(), bootstrap};
    options.backoff = Backoff::Options{.initial = 50ms, .cap = 200ms};
    return std::make_unique<NodeIdentity>(
        options, io_.get_executor(), pool_, rpc_, *keys_, *attestor_, clock);
  }
  std::unique_ptr<NodeIdentity> MakeNode(BootstrapSource bootstrap) {
    return MakeNode(std::move(bootstrap), clock_);
  }
  std::unique_ptr<NodeIdentity> MakeNode(const Clock& clock) {
    return MakeNode(BundleFile{BundlePath(), false}, clock);
  }
  std::unique_ptr<NodeIdentity> MakeNode() { return MakeNode(clock_); }

  Result<void> Start(NodeIdentity& node) { return RunTask(io_, node.Start()); }

  /// A call that needs the agent's certificate.
  Result<void> Post(NodeIdentity& node) {
    SpireServerClient client(node);
    return RunTask(io_, client.PostStatus("1.0", Deadline::After(5s)));
  }

  /// A channel whose server was away tries again by itself after a moment.
  Result<void> PostUntilDone(NodeIdentity& node) {
    const auto limit = Deadline::After(10s);
    auto posted = Post(node);
    while (!posted.ok() && !limit.Passed()) {
      RunTask(io_, Sleep(50ms));
      posted = Post(node);
    }
    return posted;
  }

  testkit::FakeSpireServer server_;
  asio::io_context io_;
  asio::thread_pool pool_{1};
  RpcClient rpc_{io_.get_executor(), pool_};
  std::string folder_;
  std::unique_ptr<KeyManager> keys_;
  std::unique_ptr<NodeAttestor> attestor_;
  SystemClock clock_;
};

TEST_F(NodeIdentityTest, AttestsWithAJoinTokenAndStoresTheResult) {
  TrustServer();
  const auto node = MakeNode();
  ASSERT_THAT(Start(*node), IsOk());
  EXPECT_EQ(node->svid()->id.text(), "spiffe://example.org/spire/agent/join_token/1");
  EXPECT_FALSE(node->reattestable());
  EXPECT_THAT(Post(*node), IsOk());
  const auto data = LoadAgentData(DataDir());
  ASSERT_THAT(data, IsOk());
  EXPECT_EQ(data->svid_chain, node->svid()->certificates);
  EXPECT_EQ(data->bundle, node->bundle()->x509_authorities);
}

TEST_F(NodeIdentityTest, AttestsWithX509Pop) {
  TrustServer();
  UseX509Pop();
  const auto node = MakeNode();
  ASSERT_THAT(Start(*node), IsOk());
  EXPECT_EQ(node->svid()->id.text(), "spiffe://example.org/spire/agent/x509pop/1");
  EXPECT_TRUE(node->reattestable());
  EXPECT_THAT(Post(*node), IsOk());
}

TEST_F(NodeIdentityTest, InsecureBootstrapGetsTheBundleFromTheServer) {
  const auto node = MakeNode(InsecureBootstrap{});
  ASSERT_THAT(Start(*node), IsOk());
  EXPECT_THAT(node->bundle()->x509_authorities, testing::ElementsAre(server_.ca().certificate()));
  EXPECT_THAT(Post(*node), IsOk());
}

TEST_F(NodeIdentityTest, StoredSvidIsTakenUpWithoutAServer) {
  TrustServer();
  ASSERT_THAT(Start(*MakeNode()), IsOk());
  server_.Stop();
  keys_ = *DiskKeyManager::Open(folder_ + "/keys");
  const auto again = MakeNode(NoBootstrap{});
  ASSERT_THAT(Start(*again), IsOk());
  EXPECT_THAT(Post(*again), FailsWithCode(Code::kUnavailable));
  server_.Start();
  EXPECT_THAT(PostUntilDone(*again), IsOk());
  EXPECT_EQ(server_.counts().attestations, 1);
}

TEST_F(NodeIdentityTest, LostKeyMeansANewAttestation) {
  TrustServer();
  UseX509Pop();
  ASSERT_THAT(Start(*MakeNode()), IsOk());
  std::filesystem::remove_all(folder_ + "/keys");
  keys_ = *DiskKeyManager::Open(folder_ + "/keys");
  const auto again = MakeNode();
  ASSERT_THAT(Start(*again), IsOk());
  EXPECT_EQ(server_.counts().attestations, 2);
}

TEST_F(NodeIdentityTest, ExpiredStoredSvidMeansANewAttestation) {
  TrustServer();
  UseX509Pop();
  server_.Change([](auto& behaviour) { behaviour.agent_svid_life = 1s; });
  ASSERT_THAT(Start(*MakeNode()), IsOk());
  RunTask(io_, Sleep(1100ms));
  server_.Change([](auto& behaviour) { behaviour.agent_svid_life = 1h; });
  ASSERT_THAT(Start(*MakeNode()), IsOk());
  EXPECT_EQ(server_.counts().attestations, 2);
}

TEST_F(NodeIdentityTest, SvidWithoutBundleIsRefused) {
  TrustServer();
  ASSERT_THAT(Start(*MakeNode()), IsOk());
  auto data = *LoadAgentData(DataDir());
  data.bundle.clear();
  ASSERT_THAT(StoreAgentData(DataDir(), data), IsOk());
  EXPECT_THAT(Start(*MakeNode()),
              FailsWith(Code::kFailedPrecondition, HasSubstr("holds an SVID but no bundle")));
}

TEST_F(NodeIdentityTest, UsedTokenEndsTheStartWithTheServersWords) {
  TrustServer();
  server_.Change([](auto& behaviour) { behaviour.join_token.clear(); });
  EXPECT_THAT(
      Start(*MakeNode()),
      FailsWith(Code::kInvalidArgument,
                HasSubstr("node attestation: join token does not exist or has already been used")));
}

TEST_F(NodeIdentityTest, DeniedAttestationEndsTheStart) {
  TrustServer();
  server_.Change([](auto& behaviour) {
    behaviour.attest_status = grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "agent is banned");
  });
  EXPECT_THAT(Start(*MakeNode()), FailsWith(Code::kPermissionDenied, HasSubstr("agent is banned")));
}

TEST_F(NodeIdentityTest, NoBootstrapSourceEndsTheStart) {
  EXPECT_THAT(Start(*MakeNode(NoBootstrap{})),
              FailsWith(Code::kFailedPrecondition, HasSubstr("trust_bundle_path")));
}

TEST_F(NodeIdentityTest, UnwritableDataFolderIsFoundBeforeTheTokenIsSpent) {
  TrustServer();
  ASSERT_THAT(WriteFileAtomically(DataDir(), "a file", 0600), IsOk());
  EXPECT_FALSE(Start(*MakeNode()).ok());
  EXPECT_EQ(server_.counts().attestations, 0);
}

Task<Result<void>> StartAfterServer(NodeIdentity* node,
                                    testkit::FakeSpireServer* server,
                                    bool* waited) {
  using boost::asio::experimental::awaitable_operators::operator||;
  auto start = node->Start();
  auto limit = Sleep(400ms);
  auto first = co_await (std::move(start) || std::move(limit));
  *waited = first.index() == 1;
  server->Start();
  co_return co_await node->Start();
}

TEST_F(NodeIdentityTest, WaitsForAServerThatIsAway) {
  TrustServer();
  server_.Stop();
  const auto node = MakeNode();
  bool waited = false;
  EXPECT_THAT(RunTask(io_, StartAfterServer(node.get(), &server_, &waited)), IsOk());
  EXPECT_TRUE(waited);
}

TEST_F(NodeIdentityTest, ServerOfAnotherAuthorityIsNeverGivenTheToken) {
  const testkit::SpiffeCa other("example.org");
  ASSERT_THAT(WriteFileAtomically(BundlePath(), other.CertificatePem(), 0644), IsOk());
  const auto node = MakeNode();
  EXPECT_THAT(RunTask(io_, WithDeadline(Deadline::After(500ms), node->Start())),
              FailsWithCode(Code::kDeadlineExceeded));
  EXPECT_EQ(server_.counts().attestations, 0);
  TrustServer();
  EXPECT_THAT(Start(*node), IsOk());
}

/// Runs the node for `duration`; the result is Run()'s own if it ended by itself.
Task<Result<void>> RunFor(NodeIdentity* node, std::chrono::milliseconds duration) {
  co_return co_await WithDeadline(Deadline::After(duration), node->Run());
}

Task<void> RunUntilCancelled(NodeIdentity* node) {
  auto ended = co_await node->Run();
  ADD_FAILURE() << ended.error().ToString();
}

TEST_F(NodeIdentityTest, NonReattestableSvidIsRenewedAtHalfLife) {
  TrustServer();
  server_.Change([](auto& behaviour) { behaviour.agent_svid_life = 4s; });
  const auto node = MakeNode();
  ASSERT_THAT(Start(*node), IsOk());
  const auto old_channel = node->channel();
  const auto old_chain = node->svid()->certificates;
  server_.Change([](auto& behaviour) { behaviour.agent_svid_life = 1h; });
  EXPECT_THAT(RunTask(io_, RunFor(node.get(), 3s)), FailsWithCode(Code::kDeadlineExceeded));
  EXPECT_EQ(server_.counts().renewals, 1);
  EXPECT_NE(node->channel(), old_channel);
  EXPECT_NE(node->svid()->certificates, old_chain);
  EXPECT_EQ(LoadAgentData(DataDir())->svid_chain, node->svid()->certificates);
  EXPECT_THAT(Post(*node), IsOk());
}

TEST_F(NodeIdentityTest, SvidThatIsDueWhenItComesIsNotRenewedWithoutEnd) {
  TrustServer();
  server_.Change([](auto& behaviour) {
    behaviour.agent_svid_age = 60s;
    behaviour.agent_svid_life = 20s;
  });
  const auto node = MakeNode();
  ASSERT_THAT(Start(*node), IsOk());
  TaskGroup running(io_.get_executor());
  running.Spawn("node", RunUntilCancelled(node.get()));
  const auto limit = Deadline::After(10s);
  while (server_.counts().renewals == 0 && !limit.Passed()) {
    RunTask(io_, Sleep(10ms));
  }
  RunTask(io_, Sleep(700ms));
  EXPECT_EQ(server_.counts().renewals, 1);
  RunTask(io_, running.Stop());
}

TEST_F(NodeIdentityTest, SvidOfATaintedAuthorityIsRotatedAtOnceAndNotOverAndOver) {
  TrustServer();
  const auto node = MakeNode();
  ASSERT_THAT(Start(*node), IsOk());
  const auto before = node->svid()->certificates;
  TrustBundle bundle = *node->bundle();
  bundle.x509_authorities.push_back(testkit::SpiffeCa("example.org").certificate());
  bundle.tainted_x509_authorities = {bundle.x509_authorities.back()};
  node->UpdateBundle(std::make_shared<const TrustBundle>(bundle));
  EXPECT_THAT(RunTask(io_, RunFor(node.get(), 300ms)), FailsWithCode(Code::kDeadlineExceeded));
  EXPECT_EQ(server_.counts().renewals, 0) << "it is another's authority";
  bundle.tainted_x509_authorities = {server_.ca().certificate()};
  node->UpdateBundle(std::make_shared<const TrustBundle>(bundle));
  EXPECT_THAT(RunTask(io_, RunFor(node.get(), 1s)), FailsWithCode(Code::kDeadlineExceeded));
  EXPECT_EQ(server_.counts().renewals, 1) << "the server signs with the same authority as before";
  EXPECT_NE(node->svid()->certificates, before);
}

TEST_F(NodeIdentityTest, ReattestableSvidIsRenewedByAttestation) {
  TrustServer();
  UseX509Pop();
  server_.Change([](auto& behaviour) { behaviour.agent_svid_life = 2s; });
  const auto node = MakeNode();
  ASSERT_THAT(Start(*node), IsOk());
  server_.Change([](auto& behaviour) { behaviour.agent_svid_life = 1h; });
  EXPECT_THAT(RunTask(io_, RunFor(node.get(), 1900ms)), FailsWithCode(Code::kDeadlineExceeded));
  EXPECT_EQ(server_.counts().renewals, 0);
  EXPECT_EQ(server_.counts().attestations, 2);
}

TEST_F(NodeIdentityTest, ExpiryWithoutRenewalEndsTheRun) {
  TrustServer();
  server_.Change([](auto& behaviour) { behaviour.agent_svid_life = 2s; });
  const auto node = MakeNode();
  ASSERT_THAT(Start(*node), IsOk());
  server_.Stop();
  EXPECT_THAT(RunTask(io_, RunFor(node.get(), 8s)),
              FailsWith(Code::kUnauthenticated, HasSubstr("expired")));
}

TEST_F(NodeIdentityTest, ARunAfterOneThatAWrongClockEndedGoesOn) {
  TrustServer();
  FakeClock clock(SystemClock().Now());
  const auto node = MakeNode(clock);
  ASSERT_THAT(Start(*node), IsOk());
  server_.Stop();
  clock.Advance(2h);
  EXPECT_THAT(RunTask(io_, RunFor(node.get(), 8s)), FailsWithCode(Code::kUnauthenticated));
  clock.Advance(-2h);
  EXPECT_THAT(RunTask(io_, RunFor(node.get(), 300ms)), FailsWithCode(Code::kDeadlineExceeded));
  EXPECT_TRUE(node->svid().has_value());
}

TEST_F(NodeIdentityTest, BannedAgentForgetsItsSvidAndEnds) {
  TrustServer();
  UseX509Pop();
  const auto node = MakeNode();
  ASSERT_THAT(Start(*node), IsOk());
  server_.Change([](auto& behaviour) { behaviour.refuse = PermissionDeniedDetails::AGENT_BANNED; });
  EXPECT_THAT(Post(*node), FailsWithCode(Code::kPermissionDenied));
  EXPECT_THAT(RunTask(io_, RunFor(node.get(), 5s)),
              FailsWith(Code::kPermissionDenied, HasSubstr("agent is banned")));
  EXPECT_TRUE(LoadAgentData(DataDir())->svid_chain.empty());
  EXPECT_FALSE(LoadAgentData(DataDir())->bundle.empty());
}

TEST_F(NodeIdentityTest, EvictedReattestableAgentAttestsAgain) {
  TrustServer();
  UseX509Pop();
  const auto node = MakeNode();
  ASSERT_THAT(Start(*node), IsOk());
  server_.Change(
      [](auto& behaviour) { behaviour.refuse = PermissionDeniedDetails::AGENT_NOT_ATTESTED; });
  EXPECT_THAT(Post(*node), FailsWithCode(Code::kPermissionDenied));
  server_.Change([](auto& behaviour) { behaviour.refuse.reset(); });
  EXPECT_THAT(RunTask(io_, RunFor(node.get(), 700ms)), FailsWithCode(Code::kDeadlineExceeded));
  EXPECT_EQ(server_.counts().attestations, 2);
  EXPECT_THAT(Post(*node), IsOk());
}

TEST_F(NodeIdentityTest, EvictedJoinTokenAgentEnds) {
  TrustServer();
  const auto node = MakeNode();
  ASSERT_THAT(Start(*node), IsOk());
  server_.Change(
      [](auto& behaviour) { behaviour.refuse = PermissionDeniedDetails::AGENT_NOT_ATTESTED; });
  EXPECT_THAT(Post(*node), FailsWithCode(Code::kPermissionDenied));
  EXPECT_THAT(RunTask(io_, RunFor(node.get(), 5s)),
              FailsWith(Code::kUnauthenticated, HasSubstr("join token")));
}

TEST_F(NodeIdentityTest, RefusalOverAnOldConnectionIsIgnored) {
  TrustServer();
  const auto node = MakeNode();
  ASSERT_THAT(Start(*node), IsOk());
  const auto old_channel = node->channel();
  TrustBundle bundle = *node->bundle();
  bundle.x509_authorities.push_back(testkit::SpiffeCa("example.org").certificate());
  node->UpdateBundle(std::make_shared<const TrustBundle>(bundle));
  ASSERT_NE(node->channel(), old_channel);
  node->ServerRefused(Refusal::kAgentNotActive, old_channel);
  EXPECT_THAT(RunTask(io_, RunFor(node.get(), 200ms)), FailsWithCode(Code::kDeadlineExceeded));
}

TEST_F(NodeIdentityTest, UpdatedBundleMakesANewConnectionAndIsStored) {
  TrustServer();
  const auto node = MakeNode();
  ASSERT_THAT(Start(*node), IsOk());
  const auto channel = node->channel();
  TrustBundle bundle = *node->bundle();
  bundle.jwt_authorities.push_back(JwtAuthority{"kid", "key"});
  node->UpdateBundle(std::make_shared<const TrustBundle>(bundle));
  EXPECT_EQ(node->channel(), channel);
  bundle.x509_authorities.push_back(testkit::SpiffeCa("example.org").certificate());
  node->UpdateBundle(std::make_shared<const TrustBundle>(bundle));
  EXPECT_NE(node->channel(), channel);
  EXPECT_THAT(Post(*node), IsOk());
  EXPECT_THAT(RunTask(io_, RunFor(node.get(), 300ms)), FailsWithCode(Code::kDeadlineExceeded));
  EXPECT_EQ(LoadAgentData(DataDir())->bundle, bundle.x509_authorities);
  bundle.x509_authorities.clear();
  node->UpdateBundle(std::make_shared<const TrustBundle>(bundle));
  EXPECT_EQ(node->bundle()->x509_authorities.size(), 2U);
}

TEST_F(NodeIdentityTest, OnAFullDiskABundleIsUsedAndStoredOnceThereIsRoom) {
  TrustServer();
  const auto node = MakeNode();
  ASSERT_THAT(Start(*node), IsOk());
  TrustBundle bundle = *node->bundle();
  const auto before = bundle.x509_authorities;
  bundle.x509_authorities.push_back(testkit::SpiffeCa("example.org").certificate());
  {
    const FileSizeLimit full(100);
    node->UpdateBundle(std::make_shared<const TrustBundle>(bundle));
    EXPECT_THAT(RunTask(io_, RunFor(node.get(), 300ms)), FailsWithCode(Code::kDeadlineExceeded));
  }
  EXPECT_EQ(node->bundle()->x509_authorities, bundle.x509_authorities);
  EXPECT_THAT(Post(*node), IsOk());
  EXPECT_EQ(LoadAgentData(DataDir())->bundle, before);
  EXPECT_THAT(RunTask(io_, RunFor(node.get(), 300ms)), FailsWithCode(Code::kDeadlineExceeded));
  EXPECT_EQ(LoadAgentData(DataDir())->bundle, bundle.x509_authorities);
}

}  // namespace
}  // namespace credence
