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

using spire::api::server::bundle::v1::BatchDeleteFederatedBundleRequest;
using testing::HasSubstr;
using testing::Not;

class CommandBundleTest : public testing::Test {
 protected:
  CommandBundleTest() {
    certificate_ = TestAuthority::Root().certificate();
    pem_ = CertificateToPem(certificate_);
    authority_.bundle.own = MakeBundle("example.org");
  }

  CommandResult Run(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.end(), {"-socketPath", authority_.socket()});
    return RunCommand(arguments, input);
  }

  spire::api::types::Bundle MakeBundle(const std::string& name) {
    spire::api::types::Bundle bundle;
    bundle.set_trust_domain(name);
    bundle.add_x509_authorities()->set_asn1(certificate_);
    auto& key = *bundle.add_jwt_authorities();
    key.set_key_id("k1");
    key.set_public_key(TestKey(KeyType::kEcP256).PublicKey());
    bundle.set_sequence_number(7);
    return bundle;
  }

  FakeAuthority authority_;
  std::string certificate_;
  std::string pem_;
};

TEST_F(CommandBundleTest, ShowGivesTheOwnBundleInEachForm) {
  EXPECT_EQ(Run({"bundle", "show"}).out, pem_);
  const auto spiffe = boost::json::parse(Run({"bundle", "show", "-format", "spiffe"}).out);
  EXPECT_EQ(spiffe.at("spiffe_sequence"), 7);
  ASSERT_EQ(spiffe.at("keys").as_array().size(), 2U);
  EXPECT_EQ(spiffe.at("keys").at(0).at("use"), "x509-svid");
  EXPECT_EQ(spiffe.at("keys").at(1).at("use"), "jwt-svid");
  const auto json = boost::json::parse(Run({"bundle", "show", "-output", "json"}).out);
  EXPECT_EQ(json.at("trust_domain"), "example.org");
  EXPECT_EQ(json.at("sequence_number"), "7");
  EXPECT_EQ(Run({"bundle", "show", "-format", "der"}).exit_code, 2);
}

TEST_F(CommandBundleTest, JwksIsWhatAVendorTakesInline) {
  const auto result = Run({"jwks"});
  EXPECT_EQ(result.exit_code, 0);
  const auto keys = boost::json::parse(result.out).at("keys").as_array();
  ASSERT_EQ(keys.size(), 1U);
  EXPECT_EQ(keys[0].at("kid"), "k1");
  EXPECT_EQ(keys[0].at("use"), "sig");
  EXPECT_EQ(keys[0].at("alg"), "ES256");
  EXPECT_EQ(Run({"jwks", "-spiffe"}).out, Run({"bundle", "show", "-format", "spiffe"}).out);
}

TEST_F(CommandBundleTest, ListNamesEachTrustDomain) {
  EXPECT_EQ(Run({"bundle", "list"}).out, "");
  authority_.bundle.foreign = {MakeBundle("other.example"), MakeBundle("third.example")};
  const std::string stars(40, '*');
  EXPECT_EQ(Run({"bundle", "list"}).out,
            stars + "\n* other.example\n" + stars + "\n" + pem_ + "\n" + stars +
                "\n* third.example\n" + stars + "\n" + pem_);
  EXPECT_EQ(boost::json::parse(Run({"bundle", "list", "-output", "json"}).out)
                .at("bundles")
                .as_array()
                .size(),
            2U);
}

TEST_F(CommandBundleTest, ListOfOneHasNoHeader) {
  authority_.bundle.foreign = {MakeBundle("other.example")};
  EXPECT_EQ(Run({"bundle", "list", "-id", "spiffe://other.example"}).out, pem_);
  EXPECT_EQ(Run({"bundle", "list", "-id", "other.example"}).out, pem_);
  const auto missing = Run({"bundle", "list", "-id", "none.example"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_EQ(missing.err, "credence: trust domain none.example: bundle not found\n");
}

TEST_F(CommandBundleTest, SetTakesPemFromAFileOrStandardInput) {
  const std::string path = authority_.folder() + "/b.pem";
  std::ofstream(path) << pem_ << pem_;
  const auto set = Run({"bundle", "set", "-id", "spiffe://other.example", "-path", path});
  EXPECT_EQ(set.exit_code, 0);
  EXPECT_EQ(set.out, "bundle set.\n");
  ASSERT_EQ(authority_.bundle.foreign.size(), 1U);
  EXPECT_EQ(authority_.bundle.foreign[0].trust_domain(), "other.example");
  EXPECT_EQ(authority_.bundle.foreign[0].x509_authorities_size(), 2);
  EXPECT_EQ(Run({"bundle", "set", "-id", "third.example"}, pem_).exit_code, 0);
  EXPECT_EQ(authority_.bundle.foreign[1].x509_authorities(0).asn1(), certificate_);
}

TEST_F(CommandBundleTest, SetTakesWhatShowGives) {
  const std::string document = Run({"bundle", "show", "-format", "spiffe"}).out;
  EXPECT_EQ(Run({"bundle", "set", "-id", "other.example", "-format", "spiffe"}, document).exit_code,
            0);
  ASSERT_EQ(authority_.bundle.foreign.size(), 1U);
  const auto& bundle = authority_.bundle.foreign[0];
  EXPECT_EQ(bundle.x509_authorities(0).asn1(), certificate_);
  EXPECT_EQ(bundle.jwt_authorities(0).key_id(), "k1");
  EXPECT_EQ(bundle.sequence_number(), 7U);
}

TEST_F(CommandBundleTest, AMistakeInABundleSendsNothing) {
  const std::vector<std::string> set{"bundle", "set", "-id", "other.example"};
  const auto not_pem = Run(set, "{}");
  EXPECT_EQ(not_pem.exit_code, 3);
  EXPECT_THAT(not_pem.err, HasSubstr("credence: standard input: "));
  std::vector<std::string> spiffe = set;
  spiffe.insert(spiffe.end(), {"-format", "spiffe"});
  EXPECT_EQ(Run(spiffe, pem_).exit_code, 3);
  std::vector<std::string> missing = set;
  missing.insert(missing.end(), {"-path", "/none/b.pem"});
  EXPECT_THAT(Run(missing).err, HasSubstr("/none/b.pem: no such file"));
  EXPECT_EQ(Run({"bundle", "set", "-id", "spiffe://other.example/path"}, pem_).exit_code, 2);
  EXPECT_EQ(Run({"bundle", "set"}, pem_).exit_code, 2);
  EXPECT_TRUE(authority_.bundle.foreign.empty());
}

TEST_F(CommandBundleTest, DeleteSaysWhatBecomesOfEntries) {
  authority_.bundle.foreign = {MakeBundle("other.example")};
  const auto deleted =
      Run({"bundle", "delete", "-id", "spiffe://other.example", "-mode", "dissociate"});
  EXPECT_EQ(deleted.out, "bundle deleted.\n");
  EXPECT_EQ(authority_.bundle.deleted.mode(), BatchDeleteFederatedBundleRequest::DISSOCIATE);
  const auto again = Run({"bundle", "delete", "-id", "other.example"});
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_EQ(again.err, "credence: delete the bundle of other.example: bundle not found\n");
  EXPECT_EQ(authority_.bundle.deleted.mode(), BatchDeleteFederatedBundleRequest::RESTRICT);
  EXPECT_EQ(Run({"bundle", "delete", "-id", "other.example", "-mode", "x"}).exit_code, 2);
}

}  // namespace
}  // namespace credence
