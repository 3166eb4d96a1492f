#include "agent/endpoints/bundle_responses.h"

#include <initializer_list>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"

#include "spiffe/workload/workload.pb.h"

namespace credence {
namespace {

SharedBundle MakeBundle(const std::string& domain, const std::string& authority) {
  return std::make_shared<const TrustBundle>(
      TrustBundle{.trust_domain = TrustDomain::Parse(domain).value(),
                  .x509_authorities = {authority},
                  .jwt_authorities = {}});
}

BundleSet SetOf(std::initializer_list<SharedBundle> bundles) {
  BundleSet set;
  for (const SharedBundle& bundle : bundles) {
    set.emplace(bundle->trust_domain.name(), bundle);
  }
  return set;
}

class BundleResponsesTest : public testing::Test {
 protected:
  BundleResponses Counting() {
    return BundleResponses(store_, [this](const BundleSet& visible) {
      ++built_;
      return BuildX509Bundles(visible);
    });
  }

  asio::io_context io_;
  IdentityStore store_{io_.get_executor()};
  int built_ = 0;
  SharedBundle own_ = MakeBundle("example.org", "root");
  SharedBundle other_ = MakeBundle("other.org", "foreign");
};

TEST_F(BundleResponsesTest, OneMessageIsBuiltForAllWhoSeeTheSameBundles) {
  BundleResponses responses = Counting();
  const SharedSecret one = responses.For(SetOf({own_, other_})).value();
  const SharedSecret two = responses.For(SetOf({own_, other_})).value();
  const SharedSecret less = responses.For(SetOf({own_})).value();
  EXPECT_EQ(one, two);
  EXPECT_NE(one, less);
  EXPECT_EQ(built_, 2);
}

TEST_F(BundleResponsesTest, AChangeThatLeavesTheBundlesAloneKeepsTheMessageOfThoseWhoHoldIt) {
  BundleResponses responses = Counting();
  const SharedSecret held = responses.For(SetOf({own_, other_})).value();
  ASSERT_THAT(responses.For(SetOf({own_})), IsOk());
  store_.Publish();
  EXPECT_EQ(responses.For(SetOf({own_, MakeBundle("other.org", "foreign")})).value(), held);
  EXPECT_EQ(built_, 2);
  ASSERT_THAT(responses.For(SetOf({own_})), IsOk());
  EXPECT_EQ(built_, 3) << "nobody held that one, so it was dropped";
}

TEST_F(BundleResponsesTest, AnotherBundleMakesAnotherMessage) {
  BundleResponses responses = Counting();
  const SharedSecret before = responses.For(SetOf({own_})).value();
  store_.Publish();
  const SharedSecret after = responses.For(SetOf({MakeBundle("example.org", "new root")})).value();
  spiffe::workload::X509BundlesResponse response;
  ASSERT_TRUE(response.ParseFromArray(after->data(), static_cast<int>(after->size())));
  EXPECT_EQ(response.bundles().at("spiffe://example.org"), "new root");
  EXPECT_NE(before, after);
}

TEST_F(BundleResponsesTest, EqualBundlesGiveEqualBytes) {
  BundleSet many;
  for (int i = 0; i < 50; ++i) {
    const SharedBundle bundle = MakeBundle("d" + std::to_string(i) + ".org", "root");
    many.emplace(bundle->trust_domain.name(), bundle);
  }
  const SharedSecret one = BuildX509Bundles(many).value();
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(BuildX509Bundles(many).value()->Reveal(), one->Reveal());
  }
}

TEST_F(BundleResponsesTest, ADomainWithoutX509AuthoritiesIsNotAmongTheX509Bundles) {
  const auto jwt_only = std::make_shared<const TrustBundle>(
      TrustBundle{.trust_domain = TrustDomain::Parse("jwt.org").value(),
                  .jwt_authorities = {{.key_id = "k1", .public_key = "spki"}}});
  const SharedSecret message = BuildX509Bundles(SetOf({own_, jwt_only})).value();
  spiffe::workload::X509BundlesResponse response;
  ASSERT_TRUE(response.ParseFromArray(message->data(), static_cast<int>(message->size())));
  EXPECT_EQ(response.bundles().size(), 1U);
  EXPECT_TRUE(response.bundles().contains("spiffe://example.org"));
}

}  // namespace
}  // namespace credence
