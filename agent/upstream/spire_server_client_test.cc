#include "agent/upstream/spire_server_client.h"

#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "attestors/node/join_token/join_token_attestor.h"
#include "base/core/testing/ignore_sigpipe.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"
#include "base/crypto/certificate.h"
#include "plugins/keymanager/memory_key_manager.h"
#include "tests/testkit/fake_spire_server.h"

namespace credence {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

class SpireServerClientTest : public testing::Test {
 protected:
  SpireServerClientTest()
      : attestor_(std::make_shared<const SecretBytes>(
            SecretBytes::CopyOf("9f9f62c2-3c2d-4d4a-8d3a-1f8f3e4a5b6c"))) {
    std::string pattern = "/tmp/credence-client-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    NodeIdentity::Options options{*TrustDomain::Parse("example.org"),
                                  "127.0.0.1",
                                  server_.port(),
                                  folder_,
                                  InsecureBootstrap{}};
    node_ = std::make_unique<NodeIdentity>(
        options, io_.get_executor(), pool_, rpc_, keys_, attestor_, clock_);
    EXPECT_THAT(RunTask(io_, node_->Start()), IsOk());
    client_ = std::make_unique<SpireServerClient>(*node_);
  }
  ~SpireServerClientTest() override { std::filesystem::remove_all(folder_); }

  void Register(int count) {
    server_.Change([&](auto& behaviour) {
      behaviour.entries.clear();
      for (int number = 0; number < count; ++number) {
        behaviour.entries.push_back(testkit::MakeEntry(number));
      }
    });
  }
  Result<EntrySyncResult> Sync(SharedEntries known) {
    return RunTask(io_, client_->SyncEntries(std::move(known), Soon()));
  }
  static Deadline Soon() { return Deadline::After(10s); }

  testkit::FakeSpireServer server_;
  asio::io_context io_;
  asio::thread_pool pool_{1};
  RpcClient rpc_{io_.get_executor(), pool_};
  MemoryKeyManager keys_;
  JoinTokenAttestor attestor_;
  SystemClock clock_;
  std::string folder_;
  std::unique_ptr<NodeIdentity> node_;
  std::unique_ptr<SpireServerClient> client_;
};

TEST_F(SpireServerClientTest, SyncsAShortListAtOnce) {
  Register(3);
  const auto first = Sync(std::make_shared<const EntryMap>());
  ASSERT_THAT(first, IsOk());
  EXPECT_EQ(first->entries->size(), 3U);
  const auto second = Sync(first->entries);
  ASSERT_THAT(second, IsOk());
  EXPECT_EQ(second->entries, first->entries);
}

TEST_F(SpireServerClientTest, SyncsALongListInPagesAndThenOnlyChanges) {
  Register(1203);
  const auto first = Sync(std::make_shared<const EntryMap>());
  ASSERT_THAT(first, IsOk());
  EXPECT_EQ(first->entries->size(), 1203U);
  EXPECT_EQ(first->received, 1203U);
  server_.Change([](auto& behaviour) {
    behaviour.entries[700].set_revision_number(1);
    behaviour.entries.erase(behaviour.entries.begin());
  });
  const auto second = Sync(first->entries);
  ASSERT_THAT(second, IsOk());
  EXPECT_EQ(second->entries->size(), 1202U);
  EXPECT_EQ(second->received, 1U);
  EXPECT_EQ(second->dropped, 1U);
  EXPECT_EQ(server_.counts().entries_sent, 1204);
  const auto third = Sync(second->entries);
  ASSERT_THAT(third, IsOk());
  EXPECT_EQ(third->entries, second->entries);
}

TEST_F(SpireServerClientTest, SyncWithoutServerIsUnavailable) {
  server_.Stop();
  EXPECT_THAT(Sync(std::make_shared<const EntryMap>()),
              FailsWith(Code::kUnavailable, HasSubstr("SyncAuthorizedEntries: ")));
}

TEST_F(SpireServerClientTest, RefusedSyncIsPermissionDenied) {
  server_.Change([](auto& behaviour) {
    behaviour.refuse = spire::api::types::PermissionDeniedDetails::AGENT_MUST_REATTEST;
  });
  EXPECT_THAT(Sync(std::make_shared<const EntryMap>()), FailsWithCode(Code::kPermissionDenied));
}

TEST_F(SpireServerClientTest, SignsInTheOrderOfTheRequestsWithAResultEach) {
  Register(2);
  const auto key = *PrivateKey::Generate(KeyType::kEcP256);
  const auto csr = *MakeCsr(key, "spiffe://example.org/workload/0");
  std::vector<X509Request> requests{
      {"entry-00001", csr}, {"nobody", csr}, {"entry-00000", "damaged"}};
  const auto signed_items = RunTask(io_, client_->SignX509(requests, Soon()));
  ASSERT_THAT(signed_items, IsOk());
  ASSERT_EQ(signed_items->size(), 3U);
  ASSERT_THAT((*signed_items)[0], IsOk());
  EXPECT_EQ((*signed_items)[0]->id.text(), "spiffe://example.org/workload/1");
  EXPECT_EQ(*PublicKeyOf((*signed_items)[0]->certificates.front()), key.PublicKey());
  EXPECT_THAT((*signed_items)[1], FailsWith(Code::kNotFound, HasSubstr("entry not found")));
  EXPECT_THAT((*signed_items)[2], FailsWithCode(Code::kInvalidArgument));
}

TEST_F(SpireServerClientTest, BatchSizeIsBounded) {
  EXPECT_THAT(RunTask(io_, client_->SignX509({}, Soon())), FailsWithCode(Code::kInvalidArgument));
  std::vector<X509Request> too_many(501);
  EXPECT_THAT(RunTask(io_, client_->SignX509(too_many, Soon())),
              FailsWithCode(Code::kInvalidArgument));
}

TEST_F(SpireServerClientTest, TokensAreFreshAndDecoded) {
  Register(1);
  const auto one = RunTask(io_, client_->NewJwtSvid("entry-00000", {"a", "b"}, Soon()));
  const auto two = RunTask(io_, client_->NewJwtSvid("entry-00000", {"a", "b"}, Soon()));
  ASSERT_THAT(one, IsOk());
  ASSERT_THAT(two, IsOk());
  EXPECT_EQ(one->id.text(), "spiffe://example.org/workload/0");
  EXPECT_THAT(one->audience, ElementsAre("a", "b"));
  EXPECT_NE(one->jti, two->jti);
  EXPECT_THAT(RunTask(io_, client_->NewJwtSvid("nobody", {"a"}, Soon())),
              FailsWith(Code::kNotFound, HasSubstr("NewJWTSVID: ")));
}

TEST_F(SpireServerClientTest, FetchesOwnAndFederatedBundles) {
  const testkit::SpiffeCa other("other.test");
  server_.Change([&](auto& behaviour) {
    behaviour.bundle_sequence = 9;
    auto& bundle = behaviour.federated.emplace_back();
    bundle.set_trust_domain("other.test");
    bundle.add_x509_authorities()->set_asn1(other.certificate());
  });
  const auto own = RunTask(io_, client_->FetchBundle(Soon()));
  ASSERT_THAT(own, IsOk());
  EXPECT_EQ(own->sequence, 9U);
  const auto known =
      RunTask(io_, client_->FetchFederatedBundle(*TrustDomain::Parse("other.test"), Soon()));
  ASSERT_THAT(known, IsOk());
  ASSERT_TRUE(known->has_value());
  EXPECT_THAT((*known)->x509_authorities, ElementsAre(other.certificate()));
  const auto unknown =
      RunTask(io_, client_->FetchFederatedBundle(*TrustDomain::Parse("nowhere.test"), Soon()));
  ASSERT_THAT(unknown, IsOk());
  EXPECT_FALSE(unknown->has_value());
}

TEST_F(SpireServerClientTest, PostsItsVersion) {
  EXPECT_THAT(RunTask(io_, client_->PostStatus("1.0", Soon())), IsOk());
  EXPECT_EQ(server_.counts().posts, 1);
}

}  // namespace
}  // namespace credence
