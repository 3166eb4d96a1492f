#include "base/rpc/spiffe_verifier.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "tests/testkit/spiffe_ca.h"

namespace credence {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kServer = "spiffe://example.org/spire/server";

class SpiffeVerifierTest : public testing::Test {
 protected:
  std::vector<std::string> Chain(std::vector<std::string> uris, bool is_ca = false) {
    testkit::LeafOptions leaf;
    leaf.uris = std::move(uris);
    leaf.is_ca = is_ca;
    return ca_.Issue(leaf).certificates;
  }
  Result<void> Check(const std::vector<std::string>& chain) {
    return CheckServerCertificate(
        chain, *SpiffeId::Parse(kServer), TrustAuthorities{{ca_.certificate()}});
  }

  testkit::SpiffeCa ca_{"example.org"};
};

TEST_F(SpiffeVerifierTest, TheServersOwnLeafIsAccepted) {
  EXPECT_THAT(Check(Chain({kServer})), IsOk());
}

TEST_F(SpiffeVerifierTest, AnotherNumberOfUrisIsRefused) {
  EXPECT_THAT(Check(Chain({})), FailsWithCode(Code::kUnauthenticated));
  EXPECT_THAT(Check(Chain({kServer, kServer})),
              FailsWith(Code::kUnauthenticated, HasSubstr("more than one URI")));
}

TEST_F(SpiffeVerifierTest, AnotherIdIsRefusedAndNotQuoted) {
  EXPECT_THAT(Check(Chain({"spiffe://example.org/evil"})),
              FailsWith(Code::kUnauthenticated, Not(HasSubstr("evil"))));
  EXPECT_THAT(Check(Chain({"spiffe://example.org/spire/server/"})),
              FailsWithCode(Code::kUnauthenticated));
  EXPECT_THAT(Check(Chain({"spiffe://EXAMPLE.org/spire/server"})),
              FailsWithCode(Code::kUnauthenticated));
}

TEST_F(SpiffeVerifierTest, AuthorityPosingAsLeafIsRefused) {
  EXPECT_THAT(Check(Chain({kServer}, true)), FailsWithCode(Code::kUnauthenticated));
}

TEST_F(SpiffeVerifierTest, TheChainCountsUnlessAnyChainIsTrusted) {
  const testkit::SpiffeCa other("example.org");
  testkit::LeafOptions leaf;
  leaf.uris = {kServer};
  const auto chain = other.Issue(leaf).certificates;
  EXPECT_THAT(Check(chain),
              FailsWith(Code::kUnauthenticated, HasSubstr("certificate verify failed")));
  EXPECT_THAT(CheckServerCertificate(chain, *SpiffeId::Parse(kServer), TrustAnyChain{}), IsOk());
}

TEST_F(SpiffeVerifierTest, DamagedOrAbsentCertificateIsRefused) {
  EXPECT_THAT(Check({"no certificate"}), FailsWithCode(Code::kUnauthenticated));
  EXPECT_THAT(Check({}), FailsWithCode(Code::kUnauthenticated));
}

}  // namespace
}  // namespace credence
