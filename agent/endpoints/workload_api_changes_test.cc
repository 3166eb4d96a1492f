#include <gmock/gmock.h>

#include "agent/endpoints/testing/workload_api_fixture.h"

/// What open streams of the Workload API do as time goes by.
namespace credence {
namespace {

using spiffe::workload::X509BundlesResponse;
using spiffe::workload::X509SVIDResponse;
using testing::HasSubstr;
using testing::SizeIs;

class WorkloadApiChangesTest : public WorkloadApiFixture {
 protected:
  bool UntilMessages(const Stream& stream, std::size_t count) {
    return Until([&] { return stream.messages() == count; });
  }
};

TEST_F(WorkloadApiChangesTest, WA_7_8_26_StreamBringsTheWholeStateAndEndsWithTheLastIdentity) {
  StartWith({MakeEntry("a", "unix:uid:1")});
  const Stream stream = Open(&WorkloadApi::FetchX509Svid);
  ASSERT_TRUE(UntilMessages(stream, 1));
  server_.entries.insert_or_assign("b", MakeEntry("b", "unix:uid:1"));
  ASSERT_TRUE(UntilMessages(stream, 2));
  EXPECT_THAT(stream.Last<X509SVIDResponse>().svids(), SizeIs(2));
  server_.entries.erase("a");
  ASSERT_TRUE(UntilMessages(stream, 3));
  EXPECT_THAT(stream.Last<X509SVIDResponse>().svids(), SizeIs(1));
  EXPECT_FALSE(stream.ended->has_value());
  server_.entries.clear();
  ASSERT_TRUE(Until([&] { return stream.ended->has_value(); }));
  EXPECT_EQ((*stream.ended)->code, Code::kPermissionDenied);
}

TEST_F(WorkloadApiChangesTest, WA_8_20_AChangedBundleIsPushedToEveryStream) {
  StartWith({MakeEntry("a", "unix:uid:1")});
  const Stream svids = Open(&WorkloadApi::FetchX509Svid);
  const Stream bundles = Open(&WorkloadApi::FetchX509Bundles);
  ASSERT_TRUE(UntilMessages(svids, 1));
  ASSERT_TRUE(UntilMessages(bundles, 1));
  server_.authorities.push_back(server_.next_ca.certificate());
  const std::string both = server_.ca.certificate() + server_.next_ca.certificate();
  ASSERT_TRUE(UntilMessages(svids, 2));
  EXPECT_EQ(svids.Last<X509SVIDResponse>().svids(0).bundle(), both);
  ASSERT_TRUE(UntilMessages(bundles, 2));
  EXPECT_EQ(bundles.Last<X509BundlesResponse>().bundles().at("spiffe://example.org"), both);
}

TEST_F(WorkloadApiChangesTest, WA_29_39_AWithdrawnFederationLeavesTheNextMessages) {
  StartWith({MakeFederatedEntry("a", "unix:uid:1")});
  const Stream svids = Open(&WorkloadApi::FetchX509Svid);
  const Stream x509 = Open(&WorkloadApi::FetchX509Bundles);
  const Stream jwt = Open(&WorkloadApi::FetchJwtBundles);
  for (const Stream* stream : {&svids, &x509, &jwt}) {
    ASSERT_TRUE(UntilMessages(*stream, 1));
  }
  ASSERT_THAT(x509.Last<X509BundlesResponse>().bundles(), SizeIs(2));
  server_.entries.insert_or_assign("a", MakeEntry("a", "unix:uid:1"));
  for (const Stream* stream : {&svids, &x509, &jwt}) {
    ASSERT_TRUE(UntilMessages(*stream, 2));
  }
  EXPECT_THAT(svids.Last<X509SVIDResponse>().federated_bundles(), SizeIs(0));
  EXPECT_THAT(x509.Last<X509BundlesResponse>().bundles(), SizeIs(1));
  EXPECT_THAT(jwt.Last<spiffe::workload::JWTBundlesResponse>().bundles(), SizeIs(1));
}

TEST_F(WorkloadApiChangesTest, NothingIsSentTwiceWhenNothingChanged) {
  StartWith({MakeEntry("a", "unix:uid:1"), MakeEntry("z", "unix:uid:9")});
  const Stream stream = Open(&WorkloadApi::FetchX509Svid);
  ASSERT_TRUE(UntilMessages(stream, 1));
  const std::size_t signed_before = server_.issued.size();
  server_.entries.at("z").revision = 7;
  ASSERT_TRUE(Until([&] { return server_.issued.size() > signed_before; }));
  server_.entries.insert_or_assign("b", MakeEntry("b", "unix:uid:1"));
  ASSERT_TRUE(Until([&] { return identities_->store().FindX509("b") != nullptr; }));
  ASSERT_TRUE(UntilMessages(stream, 2));
  EXPECT_THAT(stream.Last<X509SVIDResponse>().svids(), SizeIs(2))
      << "another workload's change is none of ours";
}

TEST_F(WorkloadApiChangesTest, StreamsOfOneWorkloadShareOneMessage) {
  StartWith({MakeEntry("a", "unix:uid:1")});
  const Stream one = Open(&WorkloadApi::FetchX509Svid);
  const Stream two = Open(&WorkloadApi::FetchX509Svid);
  ASSERT_TRUE(UntilMessages(one, 1));
  ASSERT_TRUE(UntilMessages(two, 1));
  EXPECT_EQ(one.call->written[0], two.call->written[0]);
}

TEST_F(WorkloadApiChangesTest, BundleStreamsShareOneMessageOverChangesThatLeaveTheBundlesAlone) {
  RegistrationEntry entry = MakeEntry("a", "unix:uid:1");
  entry.federates_with = {TrustDomain::Parse("one.org").value(),
                          TrustDomain::Parse("two.org").value(),
                          TrustDomain::Parse("three.org").value()};
  StartWith({entry});
  ASSERT_TRUE(Until([&] { return identities_->store().federated_bundles().size() == 3; }));
  const Stream x509 = Open(&WorkloadApi::FetchX509Bundles);
  const Stream jwt = Open(&WorkloadApi::FetchJwtBundles);
  ASSERT_TRUE(UntilMessages(x509, 1));
  ASSERT_TRUE(UntilMessages(jwt, 1));
  const std::uint64_t version = identities_->store().changes().version();
  server_.entries.insert_or_assign("z", MakeEntry("z", "unix:uid:9"));
  ASSERT_TRUE(Until([&] { return identities_->store().changes().version() > version; }));
  const Stream late_x509 = Open(&WorkloadApi::FetchX509Bundles);
  const Stream late_jwt = Open(&WorkloadApi::FetchJwtBundles);
  ASSERT_TRUE(UntilMessages(late_x509, 1));
  ASSERT_TRUE(UntilMessages(late_jwt, 1));
  EXPECT_EQ(x509.call->written, late_x509.call->written) << "the very same bytes, sent once each";
  EXPECT_EQ(jwt.call->written, late_jwt.call->written);
}

TEST_F(WorkloadApiChangesTest, WE_17_WhoWaitsForAnSvidWhileTheServerGoesAwayIsTold) {
  server_.refused = "a";
  StartWith({MakeEntry("a", "unix:uid:1")});
  const Stream waiting = Open(&WorkloadApi::FetchX509Svid);
  const Stream bundles = Open(&WorkloadApi::FetchX509Bundles);
  ASSERT_TRUE(UntilMessages(bundles, 1));
  EXPECT_FALSE(waiting.ended->has_value());
  server_.away = true;
  ASSERT_TRUE(Until([&] { return waiting.ended->has_value(); }));
  EXPECT_EQ((*waiting.ended)->code, Code::kUnavailable);
  EXPECT_THAT((*waiting.ended)->message, HasSubstr("server away"));
  EXPECT_THAT(waiting.call->written, SizeIs(0));
  EXPECT_FALSE(bundles.ended->has_value()) << "it has what it asked for";
}

TEST_F(WorkloadApiChangesTest, WA_9_AnEntryThatTheServerRefusesDelaysNewStreamsForAWhileOnly) {
  server_.refused = "b";
  StartWith({MakeEntry("a", "unix:uid:1"), MakeEntry("b", "unix:uid:1")});
  ASSERT_TRUE(Until([&] { return identities_->store().FindX509("a") != nullptr; }));
  const Stream stream = Open(&WorkloadApi::FetchX509Svid);
  RunTask(io_, Sleep(std::chrono::milliseconds(50)));
  EXPECT_EQ(stream.messages(), 0U) << "all of them, if they come soon";
  ASSERT_TRUE(UntilMessages(stream, 1));
  EXPECT_EQ(stream.Last<X509SVIDResponse>().svids(0).spiffe_id(), "spiffe://example.org/a");
}

TEST_F(WorkloadApiChangesTest, WA_9_WithTheServerAwayThereIsNothingToWaitFor) {
  server_.refused = "b";
  StartWith({MakeEntry("a", "unix:uid:1"), MakeEntry("b", "unix:uid:1")});
  ASSERT_TRUE(Until([&] { return identities_->store().FindX509("a") != nullptr; }));
  server_.away = true;
  ASSERT_TRUE(Until([&] { return !identities_->sync_status().error.empty(); }));
  EXPECT_THAT(First<X509SVIDResponse>(&WorkloadApi::FetchX509Svid).svids(), SizeIs(1));
}

TEST_F(WorkloadApiChangesTest, WE_17_WhereNothingIsSignedTheStreamEnds) {
  server_.refused = "a";
  StartWith({MakeEntry("a", "unix:uid:1")});
  const h2::Status status = EndOf(&WorkloadApi::FetchX509Svid);
  EXPECT_EQ(status.code, Code::kUnavailable);
  EXPECT_THAT(status.message, HasSubstr("signed no SVID"));
}

TEST_F(WorkloadApiChangesTest, WA_26_WithdrawnWhileAnotherIsNotSignedEndsTheStream) {
  server_.refused = "b";
  StartWith({MakeEntry("a", "unix:uid:1"), MakeEntry("b", "unix:uid:1")});
  const Stream stream = Open(&WorkloadApi::FetchX509Svid);
  ASSERT_TRUE(UntilMessages(stream, 1));
  server_.entries.erase("a");
  ASSERT_TRUE(Until([&] { return stream.ended->has_value(); }));
  EXPECT_EQ((*stream.ended)->code, Code::kPermissionDenied);
}

TEST_F(WorkloadApiChangesTest, WE_17_AnExpiredSvidIsNotServedAndTheReasonIsSaid) {
  StartWith({MakeEntry("a", "unix:uid:1")});
  const Stream before = Open(&WorkloadApi::FetchX509Svid);
  ASSERT_TRUE(UntilMessages(before, 1));
  server_.away = true;
  ASSERT_TRUE(Until([&] { return !identities_->sync_status().error.empty(); }));
  const Stream valid = Open(&WorkloadApi::FetchX509Svid);
  ASSERT_TRUE(UntilMessages(valid, 1)) << "what is valid is served without the server";
  clock_.Advance(std::chrono::hours(2));
  const h2::Status status = EndOf(&WorkloadApi::FetchX509Svid);
  EXPECT_EQ(status.code, Code::kUnavailable);
  EXPECT_THAT(status.message, HasSubstr("server away"));
  EXPECT_FALSE(before.ended->has_value()) << "an open stream waits for the next SVID";
}

TEST_F(WorkloadApiChangesTest, WA_8_AnEntryThatTheServerRefusesKeepsNoRenewalFromTheOthers) {
  StartWith({MakeEntry("a", "unix:uid:1")});
  const Stream stream = Open(&WorkloadApi::FetchX509Svid);
  ASSERT_TRUE(UntilMessages(stream, 1));
  server_.refused = "b";
  server_.entries.insert_or_assign("b", MakeEntry("b", "unix:uid:1"));
  ASSERT_TRUE(Until([&] { return identities_->store().entries()->contains("b"); }));
  clock_.Advance(std::chrono::minutes(34));
  ASSERT_TRUE(UntilMessages(stream, 2));
  const auto renewed = stream.Last<X509SVIDResponse>();
  ASSERT_THAT(renewed.svids(), SizeIs(1));
  EXPECT_EQ(server_.SerialOf(renewed.svids(0).x509_svid()), 2);
  server_.authorities.push_back(server_.next_ca.certificate());
  ASSERT_TRUE(UntilMessages(stream, 3)) << "nor a new bundle";
}

TEST_F(WorkloadApiChangesTest, AnSvidOfAWithdrawnAuthorityIsNotSentAgain) {
  StartWith({MakeEntry("a", "unix:uid:1")});
  const Stream stream = Open(&WorkloadApi::FetchX509Svid);
  ASSERT_TRUE(UntilMessages(stream, 1));
  server_.refused = "a";
  server_.authorities = {server_.next_ca.certificate()};
  ASSERT_TRUE(Until(
      [&] { return identities_->store().own_bundle()->x509_authorities == server_.authorities; }));
  RunTask(io_, Sleep(std::chrono::milliseconds(50)));
  EXPECT_EQ(stream.messages(), 1U) << "the new bundle does not vouch for it";
  const Stream late = Open(&WorkloadApi::FetchX509Svid);
  RunTask(io_, Sleep(std::chrono::milliseconds(50)));
  EXPECT_EQ(late.messages(), 0U);
}

TEST_F(WorkloadApiChangesTest, AnEntryWithARepeatedHintKeepsItsFederatedBundles) {
  RegistrationEntry old = MakeEntry("a", "unix:uid:1");
  old.hint = "internal";
  RegistrationEntry young = MakeFederatedEntry("b", "unix:uid:1");
  young.hint = "internal";
  young.created_at = 1;
  StartWith({old, young});
  const Stream svids = Open(&WorkloadApi::FetchX509Svid);
  const Stream bundles = Open(&WorkloadApi::FetchX509Bundles);
  ASSERT_TRUE(UntilMessages(svids, 1));
  ASSERT_TRUE(UntilMessages(bundles, 1));
  EXPECT_THAT(svids.Last<X509SVIDResponse>().svids(), SizeIs(1));
  EXPECT_THAT(svids.Last<X509SVIDResponse>().federated_bundles(), SizeIs(1));
  EXPECT_THAT(bundles.Last<X509BundlesResponse>().bundles(), SizeIs(2));
}

}  // namespace
}  // namespace credence
