#include "agent/endpoints/x509_responses.h"

#include <chrono>
#include <memory>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>

#include "agent/endpoints/testing/fake_call.h"
#include "agent/identity/testing/fake_server_client.h"
#include "base/core/testing/result_matchers.h"

#include "spiffe/workload/workload.pb.h"

namespace credence {
namespace {

using Missing = X509Responses::Missing;
using std::chrono::seconds;

class X509ResponsesTest : public testing::Test {
 protected:
  X509ResponsesTest() {
    auto entries = std::make_shared<EntryMap>();
    entries->emplace("a", MakeEntry("a", "unix:uid:1"));
    entries->emplace("b", MakeEntry("b", "unix:uid:1"));
    store_.ReplaceOwnBundle(std::make_shared<const TrustBundle>(TrustBundle{
        .trust_domain = *TrustDomain::Parse("example.org"), .x509_authorities = {"root"}}));
    store_.ReplaceEntries(entries);
    for (const auto& [id, entry] : *store_.entries()) {
      entries_.emplace_back(store_.entries(), &entry);
    }
    Hold("a", seconds(100));
    Hold("b", seconds(200));
  }

  void Hold(const std::string& id, seconds life) {
    const X509SvidChain chain{
        *SpiffeId::Parse("spiffe://example.org/" + id), {id}, clock_.Now(), clock_.Now() + life};
    auto key = std::make_shared<const SecretBytes>(SecretBytes::CopyOf("key"));
    store_.PutX509(id,
                   std::make_shared<const HeldX509Svid>(HeldX509Svid{
                       .svid = X509Svid{chain, std::move(key)}, .renew_at = chain.not_after}));
  }

  asio::io_context io_;
  FakeClock clock_{FromUnixSeconds(1'700'000'000)};
  IdentityStore store_{io_.get_executor()};
  std::vector<SharedEntry> entries_;
  X509Responses responses_{store_, clock_};
};

TEST_F(X509ResponsesTest, AnExpiredSvidIsNeverServedNotEvenFromAnEarlierAnswer) {
  const auto valid = responses_.For(entries_, Missing::kAwaited);
  ASSERT_THAT(valid, IsOk());
  EXPECT_EQ(ParseAs<spiffe::workload::X509SVIDResponse>(*valid).svids_size(), 2);
  clock_.Advance(seconds(99));
  const auto again = responses_.For(entries_, Missing::kAwaited);
  ASSERT_THAT(again, IsOk());
  EXPECT_TRUE(*again == *valid) << "the same bytes are shared";
  clock_.Advance(seconds(1));
  EXPECT_THAT(responses_.For(entries_, Missing::kAwaited), IsOkAndHolds(testing::IsNull()));
  store_.Publish();
  EXPECT_THAT(responses_.For(entries_, Missing::kAwaited), IsOkAndHolds(testing::IsNull()));
  Hold("a", seconds(100));
  store_.Publish();
  const auto renewed = responses_.For(entries_, Missing::kAwaited);
  ASSERT_THAT(renewed, IsOk());
  EXPECT_TRUE(*renewed != nullptr);
}

TEST_F(X509ResponsesTest, OnceBegunAnEntryWithoutAnSvidKeepsNothingFromTheOthers) {
  store_.DropX509("a");
  store_.Publish();
  EXPECT_THAT(responses_.For(entries_, Missing::kAwaited), IsOkAndHolds(testing::IsNull()));
  const auto rest = responses_.For(entries_, Missing::kLeftOut);
  ASSERT_THAT(rest, IsOkAndHolds(testing::NotNull()));
  const auto response = ParseAs<spiffe::workload::X509SVIDResponse>(*rest);
  ASSERT_EQ(response.svids_size(), 1);
  EXPECT_EQ(response.svids(0).spiffe_id(), "spiffe://example.org/b");
  clock_.Advance(seconds(200));
  EXPECT_THAT(responses_.For(entries_, Missing::kLeftOut), IsOkAndHolds(testing::IsNull()));
}

TEST_F(X509ResponsesTest, WithoutABundleThereIsNothingToServe) {
  IdentityStore empty(io_.get_executor());
  X509Responses responses(empty, clock_);
  EXPECT_THAT(responses.For(entries_, Missing::kLeftOut), IsOkAndHolds(testing::IsNull()));
}

}  // namespace
}  // namespace credence
