#include "base/rpc/spiffe_verifier.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "base/crypto/certificate.h"
#include "tests/testkit/spiffe_ca.h"

namespace credence {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kServer = "spiffe://example.org/spire/server";

class SpiffeVerifierTest : public testing::Test {
 protected:
  std::string Leaf(bool is_ca = false) {
    testkit::LeafOptions leaf;
    leaf.uris = {kServer};
    leaf.is_ca = is_ca;
    return CertificateToPem(ca_.Issue(leaf).certificates.front());
  }
  Result<void> Check(const std::vector<std::string>& uris, const std::string& pem) {
    return CheckServerCertificate(uris, pem, *SpiffeId::Parse(kServer));
  }

  testkit::SpiffeCa ca_{"example.org"};
};

TEST_F(SpiffeVerifierTest, TheServersOwnLeafIsAccepted) {
  EXPECT_THAT(Check({kServer}, Leaf()), IsOk());
}

TEST_F(SpiffeVerifierTest, AnotherNumberOfUrisIsRefused) {
  EXPECT_THAT(Check({}, Leaf()), FailsWith(Code::kUnauthenticated, HasSubstr("0 URI SANs")));
  EXPECT_THAT(Check({kServer, kServer}, Leaf()),
              FailsWith(Code::kUnauthenticated, HasSubstr("2 URI SANs")));
}

TEST_F(SpiffeVerifierTest, AnotherIdIsRefusedAndNotQuoted) {
  EXPECT_THAT(Check({"spiffe://example.org/evil"}, Leaf()),
              FailsWith(Code::kUnauthenticated, Not(HasSubstr("evil"))));
  EXPECT_THAT(Check({"spiffe://example.org/spire/server/"}, Leaf()),
              FailsWithCode(Code::kUnauthenticated));
  EXPECT_THAT(Check({"spiffe://EXAMPLE.org/spire/server"}, Leaf()),
              FailsWithCode(Code::kUnauthenticated));
}

TEST_F(SpiffeVerifierTest, AuthorityPosingAsLeafIsRefused) {
  EXPECT_THAT(Check({kServer}, Leaf(true)), FailsWithCode(Code::kUnauthenticated));
}

TEST_F(SpiffeVerifierTest, DamagedCertificateIsRefused) {
  EXPECT_THAT(Check({kServer}, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
              FailsWithCode(Code::kUnauthenticated));
  EXPECT_THAT(Check({kServer}, ""), FailsWithCode(Code::kUnauthenticated));
}

}  // namespace
}  // namespace credence
