#include "agent/endpoints/workload_api.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "agent/endpoints/testing/workload_api_fixture.h"
#include "base/core/testing/result_matchers.h"
#include "base/crypto/certificate.h"
#include "base/svid/testing/test_authority.h"

namespace credence {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class WorkloadApiTest : public WorkloadApiFixture {
 protected:
  h2::UnaryReply FetchJwt(const std::string& spiffe_id = "") {
    spiffe::workload::JWTSVIDRequest request;
    request.add_audience("x");
    request.set_spiffe_id(spiffe_id);
    return RunTask(io_,
                   api_->FetchJwtSvid(std::make_shared<FakeCall>(""), request.SerializeAsString()));
  }
  h2::UnaryReply Validate(const std::string& token) {
    spiffe::workload::ValidateJWTSVIDRequest request;
    request.set_audience("db");
    request.set_svid(token);
    return RunTask(io_,
                   api_->ValidateJwt(std::make_shared<FakeCall>(""), request.SerializeAsString()));
  }
};

TEST_F(WorkloadApiTest, WE_7_MissingOrWrongHeaderIsRefusedBeforeAttestation) {
  StartWith({MakeEntry("a", "unix:uid:1")});
  const std::vector<CallMetadata> wrong{
      {},
      {{"workload.spiffe.io", "True"}},
      {{"workload.spiffe.io", "1"}},
      {{"workload.spiffe.io", ""}},
      {{"workload.spiffe.io", "true"}, {"workload.spiffe.io", "true"}}};
  for (const CallMetadata& metadata : wrong) {
    const auto call = std::make_shared<FakeCall>("", metadata);
    for (const auto& status : {RunTask(io_, api_->FetchX509Svid(call)),
                               RunTask(io_, api_->FetchX509Bundles(call)),
                               RunTask(io_, api_->FetchJwtBundles(call)),
                               RunTask(io_, api_->FetchJwtSvid(call, "")).status,
                               RunTask(io_, api_->ValidateJwt(call, "")).status}) {
      EXPECT_EQ(status.code, Code::kInvalidArgument);
      EXPECT_THAT(status.message, HasSubstr("workload.spiffe.io: true"));
    }
  }
  EXPECT_EQ(asked_, 0);
}

TEST_F(WorkloadApiTest, WE_17_BeforeTheFirstSyncTheAnswerIsUnavailableAndSaysWhy) {
  const h2::Status status = EndOf(&WorkloadApi::FetchX509Svid);
  EXPECT_EQ(status.code, Code::kUnavailable);
  EXPECT_THAT(status.message, HasSubstr("starting"));
}

TEST_F(WorkloadApiTest, WA_13_EmptyMandatoryFieldsAreInvalid) {
  StartWith({MakeEntry("a", "unix:uid:1")});
  const auto call = std::make_shared<FakeCall>("");
  spiffe::workload::JWTSVIDRequest empty_value;
  empty_value.add_audience("");
  spiffe::workload::ValidateJWTSVIDRequest no_token;
  no_token.set_audience("x");
  EXPECT_EQ(RunTask(io_, api_->FetchJwtSvid(call, "")).status.code, Code::kInvalidArgument);
  EXPECT_EQ(RunTask(io_, api_->FetchJwtSvid(call, empty_value.SerializeAsString())).status.code,
            Code::kInvalidArgument);
  EXPECT_EQ(RunTask(io_, api_->ValidateJwt(call, no_token.SerializeAsString())).status.code,
            Code::kInvalidArgument);
  EXPECT_EQ(RunTask(io_, api_->FetchJwtSvid(call, "\xff\xff garbage")).status.code,
            Code::kInvalidArgument);
}

TEST_F(WorkloadApiTest, WA_35_OfTwoIdentitiesWithOneHintTheOlderHasATokenAlone) {
  RegistrationEntry young = MakeEntry("a", "unix:uid:1");
  RegistrationEntry old = MakeEntry("b", "unix:uid:1");
  young.hint = old.hint = "internal";
  young.created_at = 2;
  old.created_at = 1;
  StartWith({young, old});
  const auto response = ParseAs<spiffe::workload::JWTSVIDResponse>(FetchJwt().message);
  ASSERT_EQ(response.svids_size(), 1);
  EXPECT_EQ(response.svids(0).spiffe_id(), "spiffe://example.org/b");
  EXPECT_EQ(response.svids(0).hint(), "internal");
}

TEST_F(WorkloadApiTest, WA_32_33_36_JwtSvidsForAllIdentitiesOrTheOneAskedFor) {
  StartWith(
      {MakeEntry("a", "unix:uid:1"), MakeEntry("b", "unix:uid:1"), MakeEntry("c", "unix:uid:2")});
  const auto ids = [](const h2::UnaryReply& reply) {
    const auto response = ParseAs<spiffe::workload::JWTSVIDResponse>(reply.message);
    std::vector<std::string> found;
    for (const auto& svid : response.svids()) {
      found.push_back(svid.spiffe_id());
    }
    return found;
  };
  EXPECT_THAT(ids(FetchJwt()), ElementsAre("spiffe://example.org/a", "spiffe://example.org/b"));
  EXPECT_THAT(ids(FetchJwt("spiffe://example.org/b")), ElementsAre("spiffe://example.org/b"));
  EXPECT_EQ(FetchJwt("spiffe://example.org/c").status.code, Code::kPermissionDenied);
  EXPECT_EQ(FetchJwt("not a SPIFFE ID").status.code, Code::kInvalidArgument);
}

TEST_F(WorkloadApiTest, WE_19_WA_24_28_36_39_CallerWithoutIdentityIsRefusedOnEveryMethod) {
  StartWith({MakeEntry("a", "unix:uid:2")});
  EXPECT_EQ(EndOf(&WorkloadApi::FetchX509Svid).code, Code::kPermissionDenied);
  EXPECT_EQ(EndOf(&WorkloadApi::FetchX509Bundles).code, Code::kPermissionDenied);
  EXPECT_EQ(EndOf(&WorkloadApi::FetchJwtBundles).code, Code::kPermissionDenied);
  EXPECT_EQ(FetchJwt().status.code, Code::kPermissionDenied);
}

TEST_F(WorkloadApiTest, WA_16_17_19_EachIdentityComesWithAllItsFields) {
  RegistrationEntry first = MakeEntry("a", "unix:uid:1");
  first.hint = "internal";
  StartWith({first, MakeEntry("b", "unix:uid:1"), MakeEntry("c", "unix:uid:2")});
  const auto response = First<spiffe::workload::X509SVIDResponse>(&WorkloadApi::FetchX509Svid);
  ASSERT_EQ(response.svids_size(), 2);
  EXPECT_EQ(response.svids(0).spiffe_id(), "spiffe://example.org/a");
  EXPECT_EQ(response.svids(0).hint(), "internal");
  EXPECT_EQ(response.svids(1).spiffe_id(), "spiffe://example.org/b");
  for (const auto& svid : response.svids()) {
    EXPECT_NE(server_.SerialOf(svid.x509_svid()), 0);
    const auto key = PrivateKey::FromPkcs8(SecretBytes::CopyOf(svid.x509_svid_key()));
    ASSERT_THAT(key, IsOk());
    EXPECT_THAT(PublicKeyOf(svid.x509_svid()), IsOkAndHolds(key->PublicKey()));
    EXPECT_EQ(svid.bundle(), server_.ca.certificate());
  }
}

TEST_F(WorkloadApiTest, WA_21_FederatedBundlesComeAsDerUnderTheirTrustDomainIds) {
  StartWith({MakeFederatedEntry("a", "unix:uid:1")});
  const auto response = First<spiffe::workload::X509SVIDResponse>(&WorkloadApi::FetchX509Svid);
  ASSERT_EQ(response.federated_bundles_size(), 1);
  EXPECT_EQ(response.federated_bundles().at("spiffe://other.org"),
            server_.foreign_ca.certificate());
}

TEST_F(WorkloadApiTest, WA_27_37_BundlesAreKeyedByTrustDomainId) {
  StartWith({MakeFederatedEntry("a", "unix:uid:1")});
  const auto x509 = First<spiffe::workload::X509BundlesResponse>(&WorkloadApi::FetchX509Bundles);
  ASSERT_EQ(x509.bundles_size(), 2);
  EXPECT_EQ(x509.bundles().at("spiffe://example.org"), server_.ca.certificate());
  EXPECT_EQ(x509.bundles().at("spiffe://other.org"), server_.foreign_ca.certificate());
  const auto jwt = First<spiffe::workload::JWTBundlesResponse>(&WorkloadApi::FetchJwtBundles);
  ASSERT_EQ(jwt.bundles_size(), 2);
  EXPECT_THAT(jwt.bundles().at("spiffe://example.org"), HasSubstr("\"keys\":["));
}

TEST_F(WorkloadApiTest, ID_23_WhatIsNoSvidDocumentIsInvalid) {
  StartWith({MakeEntry("a", "unix:uid:1")});
  for (const std::string& opaque : {std::string("s3cr3t-bearer-token"),
                                    std::string("9f9f62c2-3c2d-4d4a-8d3a-1f8f3e4a5b6c"),
                                    server_.ca.CertificatePem()}) {
    EXPECT_EQ(Validate(opaque).status.code, Code::kInvalidArgument);
  }
}

TEST_F(WorkloadApiTest, WA_15_AForeignTokenIsTrustedOnceItsTrustDomainIsFederated) {
  const PrivateKey& key = TestKey(KeyType::kEcP256);
  const std::string token =
      SignTestJws(key,
                  "ES256",
                  R"({"alg":"ES256","kid":"f1","typ":"JWT"})",
                  R"({"sub":"spiffe://other.org/peer","aud":["db"],"exp":)" +
                      std::to_string(ToUnixSeconds(clock_.Now()) + 300) + R"(,"team":"x"})");
  server_.foreign_jwt_authorities = {{"f1", key.PublicKey()}};
  StartWith({MakeEntry("a", "unix:uid:1")});
  EXPECT_EQ(Validate(token).status.code, Code::kInvalidArgument);
  server_.entries.insert_or_assign("a", MakeFederatedEntry("a", "unix:uid:1"));
  ASSERT_TRUE(Until([&] { return !identities_->store().federated_bundles().empty(); }));
  const h2::UnaryReply reply = Validate(token);
  ASSERT_EQ(reply.status.code, Code::kOk) << reply.status.message;
  const auto valid = ParseAs<spiffe::workload::ValidateJWTSVIDResponse>(reply.message);
  EXPECT_EQ(valid.spiffe_id(), "spiffe://other.org/peer");
  EXPECT_FALSE(valid.claims().fields().contains("team"));
}

class VerifierTest : public WorkloadApiFixture {
 protected:
  VerifierTest() : WorkloadApiFixture(true) {}
};

TEST_F(VerifierTest, WA_28_39_WhoHasNoIdentityGetsTheOwnBundlesOnlyIfThatIsAllowed) {
  StartWith({MakeFederatedEntry("a", "unix:uid:2")});
  const auto x509 = First<spiffe::workload::X509BundlesResponse>(&WorkloadApi::FetchX509Bundles);
  ASSERT_EQ(x509.bundles_size(), 1) << "whom others federate with is none of its business";
  EXPECT_EQ(x509.bundles().at("spiffe://example.org"), server_.ca.certificate());
  const auto jwt = First<spiffe::workload::JWTBundlesResponse>(&WorkloadApi::FetchJwtBundles);
  ASSERT_EQ(jwt.bundles_size(), 1);
  EXPECT_THAT(jwt.bundles().at("spiffe://example.org"), Not(IsEmpty()));
  EXPECT_EQ(EndOf(&WorkloadApi::FetchX509Svid).code, Code::kPermissionDenied)
      << "an identity is another matter";
}

}  // namespace
}  // namespace credence
