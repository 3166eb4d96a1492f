#include "agent/identity/identity_service.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>

#include "agent/identity/testing/fake_server_client.h"
#include "base/core/testing/result_matchers.h"
#include "base/core/testing/run_task.h"

namespace credence {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

const TrustDomain kDomain = TrustDomain::Parse("example.org").value();

class IdentityServiceTest : public testing::Test {
 protected:
  void Start(std::size_t cache_max_size = 1000) {
    IdentityService::Options options{.trust_domain = kDomain};
    options.sync_interval = milliseconds(20);
    options.x509.cache_max_size = cache_max_size;
    service_ = std::make_unique<IdentityService>(
        io_.get_executor(), pool_, server_, clock_, options, [this](SharedBundle bundle) {
          bundles_.push_back(bundle);
        });
    service_->Start();
  }

  ~IdentityServiceTest() override {
    if (service_) {
      RunTask(io_, service_->Stop());
    }
  }

  void Add(RegistrationEntry entry) {
    const std::string id = entry.id;
    server_.entries.insert_or_assign(id, std::move(entry));
  }

  /// Runs until `done`, at most five seconds.
  bool Until(std::function<bool()> done) {
    const auto end = std::chrono::steady_clock::now() + seconds(5);
    while (!done() && std::chrono::steady_clock::now() < end) {
      RunTask(io_, Sleep(milliseconds(5)));
    }
    return done();
  }

  IdentityStore& store() { return service_->store(); }
  /// Which certificate is held for `id`, from 1; 0 for none.
  int SerialOf(const std::string& id) {
    const SharedX509Svid held = store().FindX509(id);
    return held ? server_.SerialOf(held->svid.chain.certificates.front()) : 0;
  }

  asio::io_context io_;
  asio::thread_pool pool_{2};
  FakeClock clock_{SystemClock().Now()};
  FakeServerClient server_{clock_};
  std::vector<SharedBundle> bundles_;
  std::unique_ptr<IdentityService> service_;
};

TEST_F(IdentityServiceTest, SignsEntriesAheadAndHandsOnTheBundleOnce) {
  Add(MakeEntry("a", "unix:uid:1"));
  Add(MakeEntry("b", "unix:uid:2"));
  Start();
  ASSERT_TRUE(Until([&] { return store().x509_svids().size() == 2; }));
  RunTask(io_, Sleep(milliseconds(100)));
  EXPECT_THAT(server_.issued, SizeIs(2)) << "fresh SVIDs are left alone";
  ASSERT_EQ(bundles_.size(), 1U);
  EXPECT_THAT(bundles_[0]->x509_authorities, ElementsAre(server_.ca.certificate()));
  EXPECT_EQ(service_->sync_status().error, "");
}

TEST_F(IdentityServiceTest, AServerThatTellsOfChangesIsNotAskedInBetween) {
  server_.tells = true;
  Start();
  ASSERT_TRUE(Until([&] { return server_.tell && server_.syncs == 2; }));
  RunTask(io_, Sleep(milliseconds(150)));
  EXPECT_EQ(server_.syncs, 2);
  Add(MakeEntry("a", "unix:uid:1"));
  server_.tell();
  ASSERT_TRUE(Until([&] { return store().entries()->contains("a"); }));
  server_.tells = false;
  Add(MakeEntry("b", "unix:uid:2"));
  EXPECT_TRUE(Until([&] { return store().entries()->contains("b"); }))
      << "asked as often as before";
}

TEST_F(IdentityServiceTest, AServerThatComesBackEndsTheWaitForIt) {
  server_.away = true;
  server_.tells = true;
  Start();
  ASSERT_TRUE(Until([&] { return !service_->sync_status().error.empty() && server_.tell; }));
  RunTask(io_, Sleep(milliseconds(150)));
  server_.away = false;
  server_.tell();
  EXPECT_TRUE(Until([&] { return server_.syncs == 1; }));
}

TEST_F(IdentityServiceTest, AClockThatLagsBehindTheServersGetsItsSvids) {
  server_.clock_ahead = seconds(60);
  Add(MakeEntry("a", "unix:uid:1"));
  Start();
  ASSERT_TRUE(Until([&] { return SerialOf("a") == 1; }));
}

TEST_F(IdentityServiceTest, RenewsAtHalfOfLife) {
  Add(MakeEntry("a", "unix:uid:1"));
  Start();
  ASSERT_TRUE(Until([&] { return SerialOf("a") == 1; }));
  clock_.Advance(minutes(26));
  RunTask(io_, Sleep(milliseconds(200)));
  EXPECT_EQ(SerialOf("a"), 1);
  clock_.Advance(minutes(8));
  EXPECT_TRUE(Until([&] { return SerialOf("a") == 2; }));
}

TEST_F(IdentityServiceTest, SignsAgainWhenTheEntryChanged) {
  Add(MakeEntry("a", "unix:uid:1"));
  Start();
  ASSERT_TRUE(Until([&] { return SerialOf("a") == 1; }));
  server_.entries.at("a").revision = 2;
  EXPECT_TRUE(Until([&] { return SerialOf("a") == 2; }));
}

TEST_F(IdentityServiceTest, EntryThatIsGoneTakesItsSvidAlong) {
  Add(MakeEntry("a", "unix:uid:1"));
  Start();
  ASSERT_TRUE(Until([&] { return SerialOf("a") == 1; }));
  server_.entries.clear();
  EXPECT_TRUE(Until([&] { return store().entries()->empty() && store().x509_svids().empty(); }));
}

TEST_F(IdentityServiceTest, ServerAwayLeavesWhatIsThereAndSaysSo) {
  Add(MakeEntry("a", "unix:uid:1"));
  Start();
  ASSERT_TRUE(Until([&] { return SerialOf("a") == 1; }));
  server_.away = true;
  ASSERT_TRUE(Until([&] { return !service_->sync_status().error.empty(); }));
  EXPECT_THAT(service_->sync_status().error, HasSubstr("server away"));
  EXPECT_EQ(SerialOf("a"), 1);
  server_.away = false;
  EXPECT_TRUE(Until([&] { return service_->sync_status().error.empty(); }));
}

TEST_F(IdentityServiceTest, OneRefusedEntryDoesNotHoldUpTheOthersNorIsItAskedForAtOnceAgain) {
  Add(MakeEntry("a", "unix:uid:1"));
  Add(MakeEntry("b", "unix:uid:2"));
  server_.refused = "a";
  Start();
  ASSERT_TRUE(Until([&] { return store().FindX509("b") != nullptr; }));
  RunTask(io_, Sleep(milliseconds(200)));
  EXPECT_EQ(store().FindX509("a"), nullptr);
  EXPECT_THAT(server_.batches, ElementsAre(2));
}

TEST_F(IdentityServiceTest, SvidForAnotherIdIsNotServed) {
  Add(MakeEntry("a", "unix:uid:1"));
  server_.forged = "a";
  Start();
  ASSERT_TRUE(Until([&] { return !server_.batches.empty(); }));
  RunTask(io_, Sleep(milliseconds(50)));
  EXPECT_EQ(store().FindX509("a"), nullptr);
  EXPECT_THAT(RunTask(io_, service_->NewJwtSvid("a", {"aud"}, Deadline::After(seconds(1)))),
              FailsWith(Code::kInternal, HasSubstr("someone-else")));
}

TEST_F(IdentityServiceTest, WA_19_SvidForAnotherKeyIsNotServed) {
  Add(MakeEntry("a", "unix:uid:1"));
  Add(MakeEntry("b", "unix:uid:2"));
  server_.swapped = "a";
  Start();
  ASSERT_TRUE(Until([&] { return store().FindX509("b") != nullptr; }));
  EXPECT_EQ(store().FindX509("a"), nullptr);
  server_.swapped.clear();
  clock_.Advance(seconds(6));
  EXPECT_TRUE(Until([&] { return store().FindX509("a") != nullptr; })) << "it is asked for again";
}

TEST_F(IdentityServiceTest, SvidOfAnAuthorityThatTheBundleLacksWaitsForTheBundle) {
  Add(MakeEntry("a", "unix:uid:1"));
  Start();
  ASSERT_TRUE(Until([&] { return SerialOf("a") == 1; }));
  server_.signing_ca = &server_.next_ca;
  clock_.Advance(minutes(34));
  ASSERT_TRUE(Until([&] { return server_.issued.size() == 2; }));
  server_.authorities.push_back(server_.next_ca.certificate());
  EXPECT_TRUE(Until([&] {
    EXPECT_NE(SerialOf("a"), 0) << "what workloads can use stays";
    EXPECT_NE(SerialOf("a"), 2) << "nobody had the bundle for it when it came";
    return SerialOf("a") == 3;
  })) << "asked for again as soon as the bundle is there";
}

TEST_F(IdentityServiceTest, SvidOfATaintedAuthorityIsReplacedAtOnce) {
  Add(MakeEntry("a", "unix:uid:1"));
  Start();
  ASSERT_TRUE(Until([&] { return SerialOf("a") == 1; }));
  server_.authorities.push_back(server_.next_ca.certificate());
  server_.signing_ca = &server_.next_ca;
  RunTask(io_, Sleep(milliseconds(100)));
  ASSERT_EQ(SerialOf("a"), 1) << "a new authority alone changes nothing";
  server_.tainted = {server_.ca.certificate()};
  EXPECT_TRUE(Until([&] {
    EXPECT_NE(SerialOf("a"), 0) << "it is served until the next one is here";
    return SerialOf("a") == 2;
  }));
  EXPECT_THAT(store().own_bundle()->x509_authorities, SizeIs(2)) << "others still need it";
  RunTask(io_, Sleep(milliseconds(200)));
  EXPECT_EQ(SerialOf("a"), 2);
}

TEST_F(IdentityServiceTest, ServerThatStillSignsWithATaintedAuthorityIsAskedAgainAfterAPause) {
  Add(MakeEntry("a", "unix:uid:1"));
  server_.tainted = {server_.ca.certificate()};
  Start();
  ASSERT_TRUE(Until([&] { return SerialOf("a") == 1; }));
  RunTask(io_, Sleep(milliseconds(200)));
  EXPECT_EQ(SerialOf("a"), 1);
  server_.authorities.push_back(server_.next_ca.certificate());
  ASSERT_TRUE(Until([&] { return SerialOf("a") == 2; })) << "a new bundle may mean a new signer";
  server_.signing_ca = &server_.next_ca;
  clock_.Advance(minutes(1));
  EXPECT_TRUE(Until([&] { return SerialOf("a") == 3; }));
}

TEST_F(IdentityServiceTest, CapLimitsWhatIsSignedAheadButNotWhatCallersHold) {
  Add(MakeEntry("a", "unix:uid:1"));
  Add(MakeEntry("b", "unix:uid:2"));
  Add(MakeEntry("c", "unix:uid:3"));
  Start(2);
  ASSERT_TRUE(Until([&] { return store().x509_svids().size() == 2; }));
  ASSERT_EQ(store().FindX509("c"), nullptr);
  const auto match = store().Match(SelectorSet({Selector::Parse("unix:uid:3").value()}));
  const auto hold = service_->Want(match);
  EXPECT_TRUE(Until([&] {
    return store().FindX509("c") != nullptr && store().x509_svids().size() == 2;
  })) << "the one in use displaces one that is not";
}

TEST_F(IdentityServiceTest, EntryWithoutPrefetchIsSignedWhenWanted) {
  RegistrationEntry entry = MakeEntry("a", "unix:uid:1");
  entry.no_x509_prefetch = true;
  Add(entry);
  Start();
  ASSERT_TRUE(Until([&] { return store().synced(); }));
  RunTask(io_, Sleep(milliseconds(50)));
  ASSERT_EQ(store().FindX509("a"), nullptr);
  const auto hold =
      service_->Want(store().Match(SelectorSet({Selector::Parse("unix:uid:1").value()})));
  EXPECT_TRUE(Until([&] { return store().FindX509("a") != nullptr; }));
}

TEST_F(IdentityServiceTest, FederatedBundlesFollowTheEntries) {
  RegistrationEntry entry = MakeEntry("a", "unix:uid:1");
  entry.federates_with = {TrustDomain::Parse("other.org").value(),
                          TrustDomain::Parse("unknown.org").value()};
  Add(entry);
  Start();
  ASSERT_TRUE(Until([&] { return store().federated_bundles().contains("other.org"); }));
  EXPECT_FALSE(store().federated_bundles().contains("unknown.org"));
  server_.entries.at("a").federates_with.clear();
  EXPECT_TRUE(Until([&] { return store().federated_bundles().empty(); }));
}

TEST_F(IdentityServiceTest, AFederatedBundleThatCannotBeUsedHoldsNothingElseUp) {
  RegistrationEntry entry = MakeEntry("a", "unix:uid:1");
  entry.federates_with = {TrustDomain::Parse("other.org").value()};
  Add(entry);
  Start();
  ASSERT_TRUE(Until([&] { return store().federated_bundles().contains("other.org"); }));
  server_.federated_failure = Error(Code::kInternal, "no certificate");
  Add(MakeEntry("b", "unix:uid:2"));
  EXPECT_TRUE(Until([&] { return store().entries()->contains("b"); }));
  EXPECT_TRUE(store().federated_bundles().contains("other.org")) << "the last good one";
  server_.federated_failure = Error(Code::kUnavailable, "server away");
  EXPECT_TRUE(Until([&] { return !service_->sync_status().error.empty(); }));
}

TEST_F(IdentityServiceTest, ID_24_EntriesOfAnotherTrustDomainAreLeftOut) {
  RegistrationEntry foreign = MakeEntry("a", "unix:uid:1");
  foreign.spiffe_id = SpiffeId::Parse("spiffe://other.org/a").value();
  Add(foreign);
  Add(MakeEntry("b", "unix:uid:2"));
  Start();
  ASSERT_TRUE(Until([&] { return store().FindX509("b") != nullptr; }));
  EXPECT_THAT(*store().entries(), SizeIs(1));
  const SharedEntries before = store().entries();
  const int syncs = server_.syncs;
  ASSERT_TRUE(Until([&] { return server_.syncs > syncs + 1; }));
  EXPECT_EQ(store().entries(), before) << "nothing has changed";
}

TEST_F(IdentityServiceTest, WA_31_AJwtSvidForAnotherAudienceIsNotServed) {
  Add(MakeEntry("a", "unix:uid:1"));
  Start();
  ASSERT_TRUE(Until([&] { return store().synced(); }));
  for (const auto& other : {std::vector<std::string>{"y"}, {"x"}, {"x", "y", "z"}, {}}) {
    server_.other_audience = other;
    EXPECT_THAT(RunTask(io_, service_->NewJwtSvid("a", {"x", "y"}, Deadline::After(seconds(1)))),
                FailsWith(Code::kInternal, HasSubstr("another audience")));
  }
  server_.other_audience = std::vector<std::string>{"y", "x"};
  EXPECT_THAT(RunTask(io_, service_->NewJwtSvid("a", {"x", "y"}, Deadline::After(seconds(1)))),
              IsOk());
}

TEST_F(IdentityServiceTest, FreshJwtSvidsNeverComeFromTheCache) {
  Add(MakeEntry("a", "unix:uid:1"));
  Start();
  ASSERT_TRUE(Until([&] { return store().synced(); }));
  ASSERT_THAT(RunTask(io_, service_->NewJwtSvid("a", {"aud"}, Deadline::After(seconds(1)))),
              IsOk());
  ASSERT_THAT(RunTask(io_, service_->NewJwtSvid("a", {"aud"}, Deadline::After(seconds(1)))),
              IsOk());
  EXPECT_EQ(server_.jwts, 2);
  EXPECT_THAT(RunTask(io_, service_->NewJwtSvid("gone", {"aud"}, Deadline::After(seconds(1)))),
              FailsWithCode(Code::kNotFound));
}

TEST_F(IdentityServiceTest, StopsTwice) {
  Start();
  RunTask(io_, service_->Stop());
  RunTask(io_, service_->Stop());
}

TEST_F(IdentityServiceTest, AnEntryForAnotherIdentityTakesItsSvidAlong) {
  Add(MakeEntry("a", "unix:uid:1"));
  Start();
  ASSERT_TRUE(Until([&] { return SerialOf("a") == 1; }));
  const SpiffeId renamed = SpiffeId::Parse("spiffe://example.org/renamed").value();
  server_.refused = "a";
  server_.entries.at("a").spiffe_id = renamed;
  ASSERT_TRUE(Until([&] { return store().entries()->at("a").spiffe_id == renamed; }));
  EXPECT_EQ(SerialOf("a"), 0);
  server_.refused = "";
  ASSERT_TRUE(Until([&] {
    clock_.Advance(seconds(1));
    return SerialOf("a") == 2;
  }));
  EXPECT_EQ(store().FindX509("a")->svid.chain.id, renamed);
}

TEST_F(IdentityServiceTest, AnEntryMadeAnewUnderItsOldIdIsSignedAgain) {
  Add(MakeEntry("a", "unix:uid:1"));
  Start();
  ASSERT_TRUE(Until([&] { return SerialOf("a") == 1; }));
  ++server_.entries.at("a").created_at;
  EXPECT_TRUE(Until([&] { return SerialOf("a") == 2; }));
}

TEST_F(IdentityServiceTest, AnEntryThatIsForAnSvidStoreNowTakesItsSvidAlong) {
  Add(MakeEntry("a", "unix:uid:1"));
  Start();
  ASSERT_TRUE(Until([&] { return SerialOf("a") == 1; }));
  server_.entries.at("a").store_svid = true;
  EXPECT_TRUE(Until([&] { return SerialOf("a") == 0; }));
}

TEST_F(IdentityServiceTest, SvidsThatComePastHalfOfTheirLifeAreNotAskedForWithoutEnd) {
  server_.clock_ahead = -minutes(45);
  Add(MakeEntry("a", "unix:uid:1"));
  Start();
  ASSERT_TRUE(Until([&] { return SerialOf("a") == 1; }));
  RunTask(io_, Sleep(milliseconds(400)));
  EXPECT_THAT(server_.batches, SizeIs(1));
}

}  // namespace
}  // namespace credence
