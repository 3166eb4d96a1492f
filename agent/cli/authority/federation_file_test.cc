#include "agent/cli/authority/federation_file.h"

#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"
#include "base/crypto/certificate.h"
#include "base/svid/testing/test_authority.h"

namespace credence {
namespace {

using testing::HasSubstr;

std::string FederationFile(const std::string& members) {
  return R"({"federationRelationships": [{)" + members + "}]}";
}

constexpr const char* kWebMembers =
    R"("trustDomain": "b.test", "bundleEndpointURL": "https://b/", "bundleEndpointProfile": "https_web")";

TEST(FederationFileTest, BothProfilesAndBothFormsOfABundleAreRead) {
  const std::string der = TestAuthority::Root().certificate();
  boost::json::object pem;
  pem["trustDomainBundle"] = CertificateToPem(der);
  std::string member = boost::json::serialize(pem);
  member = member.substr(1, member.size() - 2);
  const auto read = ParseFederationFile(
      R"({"FederationRelationships": [{)" + std::string(kWebMembers) + ", " + member +
      R"(}, {"TRUSTDOMAIN": "spiffe://c.test", "bundleEndpointUrl": "https://c:8443/x",
             "bundleEndpointProfile": "https_spiffe", "endpointSPIFFEID": "spiffe://c.test/server",
             "trustDomainBundle": {"keys": [], "spiffe_sequence": 7},
             "trustDomainBundleFormat": "spiffe"}]})");
  ASSERT_THAT(read, IsOk());
  ASSERT_EQ(read->size(), 2U);
  EXPECT_TRUE(read->at(0).has_https_web());
  EXPECT_EQ(read->at(0).trust_domain(), "b.test");
  EXPECT_EQ(read->at(0).trust_domain_bundle().trust_domain(), "b.test");
  EXPECT_EQ(read->at(0).trust_domain_bundle().x509_authorities(0).asn1(), der);
  EXPECT_EQ(read->at(1).trust_domain(), "c.test");
  EXPECT_EQ(read->at(1).bundle_endpoint_url(), "https://c:8443/x");
  EXPECT_EQ(read->at(1).https_spiffe().endpoint_spiffe_id(), "spiffe://c.test/server");
  EXPECT_EQ(read->at(1).trust_domain_bundle().sequence_number(), 7U);
}

TEST(FederationFileTest, AMistakeNamesTheRelationshipAndTheMember) {
  const std::string web = kWebMembers;
  const std::pair<std::string, std::string> mistakes[] = {
      {"[]", "JSON"},
      {"{}", "expected {\"federationRelationships\": [...]}"},
      {R"({"federationRelationships": {}})", "expected {\"federationRelationships\": [...]}"},
      {R"({"federationRelationships": [], "x": 1})", "expected {\"federationRelationships\""},
      {R"({"federationRelationships": []})", "there is no relationship"},
      {R"({"federationRelationships": [1]})", "relationship 1: expected an object"},
      {FederationFile(""), "relationship 1: trustDomain is missing"},
      {FederationFile(R"("trustDomain": "B_!")"), "trustDomain: \"B_!\" is no trust domain"},
      {FederationFile(R"("trustDomain": "b.test")"), "bundleEndpointURL is missing"},
      {FederationFile(R"("trustDomain": "b.test", "bundleEndpointURL": "https://b/")"),
       "bundleEndpointProfile is missing"},
      {FederationFile(
           R"("trustDomain": "b.test", "bundleEndpointURL": "u", "bundleEndpointProfile": "web")"),
       "bundleEndpointProfile is \"web\""},
      {FederationFile(
           R"("trustDomain": "b.test", "bundleEndpointURL": "u", "bundleEndpointProfile": "https_spiffe")"),
       "endpointSpiffeID is missing"},
      {FederationFile(web + R"(, "endpointSPIFFEID": "spiffe://b.test/x")"),
       "endpointSpiffeID is for the profile https_spiffe"},
      {FederationFile(web + R"(, "port": "1")"), "\"port\" is no member of a relationship"},
      {FederationFile(web + R"(, "TrustDomain": "c.test")"), "is there twice"},
      {FederationFile(web + R"(, "trustDomainBundle": "x")"), "trustDomainBundle: "},
      {FederationFile(web + R"(, "trustDomainBundle": {"keys": []})"), "expected a text"},
      {FederationFile(web + R"(, "trustDomainBundleFormat": "spiffe", "trustDomainBundle": "x")"),
       "expected an object"},
      {FederationFile(web + R"(, "trustDomainBundleFormat": "der", "trustDomainBundle": "x")"),
       "trustDomainBundleFormat is \"der\""},
      {FederationFile(web + R"(, "trustDomainBundleFormat": 1)"),
       "trustDomainBundleFormat: expected a text"},
  };
  for (const auto& [text, why] : mistakes) {
    EXPECT_THAT(ParseFederationFile(text), FailsWith(Code::kInvalidArgument, HasSubstr(why)))
        << text;
  }
}

}  // namespace
}  // namespace credence
