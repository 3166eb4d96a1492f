#include <fstream>
#include <string>
#include <vector>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <gmock/gmock.h>

#include "agent/cli/testing/fake_authority.h"
#include "agent/cli/testing/run_command.h"
#include "base/crypto/certificate.h"
#include "base/svid/testing/test_authority.h"

namespace credence {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kOtherText =
    "Trust domain              : other.example\n"
    "Bundle endpoint URL       : https://other.example/b\n"
    "Bundle endpoint profile   : https_spiffe\n"
    "Endpoint SPIFFE ID        : spiffe://other.example/spire/server\n";
constexpr const char* kThirdText =
    "Trust domain              : third.example\n"
    "Bundle endpoint URL       : https://third.example/\n"
    "Bundle endpoint profile   : https_web\n";

class CommandFederationTest : public testing::Test {
 protected:
  CommandResult Run(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.begin(), "federation");
    arguments.insert(arguments.end(), {"-socketPath", authority_.socket()});
    return RunCommand(arguments, input);
  }
  static std::vector<std::string> Other(const std::string& verb) {
    return {verb,
            "-trustDomain",
            "spiffe://other.example",
            "-bundleEndpointURL",
            "https://other.example/b",
            "-bundleEndpointProfile",
            "https_spiffe",
            "-endpointSpiffeID",
            "spiffe://other.example/spire/server"};
  }
  static std::vector<std::string> Third(const std::string& verb) {
    return {verb,
            "-trustDomain",
            "third.example",
            "-bundleEndpointURL",
            "https://third.example/",
            "-bundleEndpointProfile",
            "https_web"};
  }

  FakeAuthority authority_;
};

TEST_F(CommandFederationTest, CreateShowsWhatIsThereNow) {
  EXPECT_EQ(Run(Other("create")).out, "\n" + std::string(kOtherText));
  ASSERT_EQ(authority_.federation.relationships.size(), 1U);
  EXPECT_EQ(authority_.federation.relationships[0].trust_domain(), "other.example");
  EXPECT_FALSE(authority_.federation.relationships[0].has_trust_domain_bundle());
  EXPECT_EQ(Run(Third("create")).out, "\n" + std::string(kThirdText));
  const auto again = Run(Third("create"));
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_EQ(again.out, "");
  EXPECT_EQ(again.err,
            "Failed to create the following federation relationship (code: AlreadyExists, msg: "
            "\"there already\"):\n" +
                std::string(kThirdText) + "credence: failed to create 1 of 1\n");
}

TEST_F(CommandFederationTest, CreateSendsTheFirstBundle) {
  const std::string certificate = TestAuthority::Root().certificate();
  const std::string path = authority_.folder() + "/b.pem";
  std::ofstream(path) << CertificateToPem(certificate);
  auto create = Other("create");
  create.insert(create.end(), {"-trustDomainBundlePath", path});
  EXPECT_EQ(Run(create).exit_code, 0);
  const auto& bundle = authority_.federation.relationships.at(0).trust_domain_bundle();
  EXPECT_EQ(bundle.trust_domain(), "other.example");
  EXPECT_EQ(bundle.x509_authorities(0).asn1(), certificate);
  create = Third("create");
  create.insert(create.end(),
                {"-trustDomainBundlePath", "-", "-trustDomainBundleFormat", "spiffe"});
  EXPECT_EQ(Run(create, R"({"keys": [], "spiffe_sequence": 9})").exit_code, 0);
  EXPECT_EQ(authority_.federation.relationships.at(1).trust_domain_bundle().sequence_number(), 9U);
  EXPECT_EQ(Run(create, "{").exit_code, 3);
}

TEST_F(CommandFederationTest, AFileMakesManyAndEachIsJudgedForItself) {
  const std::string file = R"({"federationRelationships": [
      {"trustDomain": "other.example", "bundleEndpointURL": "https://other.example/b",
       "bundleEndpointProfile": "https_spiffe",
       "endpointSPIFFEID": "spiffe://other.example/spire/server"},
      {"trustDomain": "third.example", "bundleEndpointURL": "https://third.example/",
       "bundleEndpointProfile": "https_web"}]})";
  EXPECT_EQ(Run({"create", "-data", "-"}, file).out,
            "\n" + std::string(kOtherText) + "\n" + kThirdText);
  authority_.federation.relationships.pop_back();
  const auto again = Run({"create", "-data", "-", "-output", "json"}, file);
  EXPECT_EQ(again.exit_code, 1);
  const auto results = boost::json::parse(again.out).at("results").as_array();
  EXPECT_EQ(results.at(0).at("status").at("code"), 6);
  EXPECT_EQ(results.at(0).at("federation_relationship").at("trust_domain"), "other.example");
  EXPECT_EQ(results.at(1).at("status").at("code"), 0);
  EXPECT_EQ(Run({"create", "-data", "-", "-trustDomain", "x.example"}, file).exit_code, 2);
  EXPECT_EQ(Run({"create", "-data", "-"}, "{}").exit_code, 3);
  EXPECT_EQ(Run({"create", "-data", "/none.json"}).exit_code, 3);
}

TEST_F(CommandFederationTest, WhatIsMissingOrTooMuchSendsNothing) {
  const std::vector<std::vector<std::string>> mistakes = {
      {"create"},
      {"create", "-trustDomain", "other.example"},
      {"create", "-trustDomain", "other.example", "-bundleEndpointURL", "https://o/"},
      {"create",
       "-trustDomain",
       "other.example",
       "-bundleEndpointURL",
       "https://o/",
       "-bundleEndpointProfile",
       "https_spiffe"},
      {"update", "-trustDomain", "Other!", "-bundleEndpointURL", "https://o/"},
      {"delete"},
      {"delete", "-id", "spiffe://other.example/path"},
      {"show"},
      {"refresh"},
  };
  for (const auto& arguments : mistakes) {
    EXPECT_EQ(Run(arguments).exit_code, 2) << testing::PrintToString(arguments);
  }
  EXPECT_EQ(Run({"create", "-trustDomain", "other.example"}).err,
            "credence: -bundleEndpointURL is missing\n");
  EXPECT_TRUE(authority_.federation.relationships.empty());
}

TEST_F(CommandFederationTest, ListShowAndDeleteAreAsWithSpireServer) {
  EXPECT_EQ(Run({"list"}).out, "Found 0 federation relationships\n");
  Run(Other("create"));
  EXPECT_EQ(Run({"list"}).out, "Found 1 federation relationship\n\n" + std::string(kOtherText));
  Run(Third("create"));
  EXPECT_EQ(Run({"list"}).out,
            "Found 2 federation relationships\n\n" + std::string(kOtherText) + "\n" + kThirdText);
  EXPECT_EQ(Run({"show", "-trustDomain", "spiffe://third.example"}).out,
            "Found a federation relationship with trust domain third.example:\n\n" +
                std::string(kThirdText));
  const auto json = boost::json::parse(Run({"list", "-output", "json"}).out);
  EXPECT_EQ(json.at("federation_relationships").at(0).at("https_spiffe").at("endpoint_spiffe_id"),
            "spiffe://other.example/spire/server");
  EXPECT_EQ(Run({"delete", "-id", "spiffe://other.example"}).out,
            "federation relationship deleted.\n");
  const auto again = Run({"delete", "-id", "other.example"});
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_EQ(again.err, "credence: delete the federation with other.example: not there\n");
  EXPECT_THAT(Run({"show", "-trustDomain", "other.example"}).err,
              StartsWith("credence: trust domain other.example: "));
}

TEST_F(CommandFederationTest, UpdateReplacesAndRefreshFetches) {
  EXPECT_EQ(Run(Third("update")).exit_code, 1);
  Run(Third("create"));
  auto update = Other("update");
  update[2] = "third.example";
  EXPECT_THAT(Run(update).out, HasSubstr("https://other.example/b"));
  EXPECT_TRUE(authority_.federation.relationships.at(0).has_https_spiffe());
  EXPECT_EQ(Run({"refresh", "-id", "spiffe://third.example"}).out, "Bundle refreshed\n");
  EXPECT_EQ(authority_.federation.refreshed, std::vector<std::string>{"third.example"});
  const auto json =
      boost::json::parse(Run({"refresh", "-id", "third.example", "-output", "json"}).out);
  EXPECT_EQ(json.at("code"), 0);
  EXPECT_EQ(Run({"refresh", "-id", "none.example"}).exit_code, 1);
}

}  // namespace
}  // namespace credence
