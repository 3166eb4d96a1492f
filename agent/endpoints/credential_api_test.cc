#include "agent/endpoints/credential_api.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <gmock/gmock.h>

#include "agent/endpoints/testing/fake_call.h"
#include "agent/exchange/testing/broker_fixture.h"
#include "agent/identity/testing/fake_server_client.h"

#include "credence/credential/v1/credential.pb.h"

namespace credence {
namespace {

using testing::HasSubstr;

/// The broker's fixture behind the endpoint: every caller is unix:uid:1, which is
/// spiffe://example.org/web.
class CredentialApiTest : public BrokerFixture {
 protected:
  CredentialApiTest() {
    std::vector<std::unique_ptr<WorkloadAttestor>> attestors;
    attestors.push_back(std::make_unique<FixedAttestor>("unix:uid:1", asked_));
    attestation_ = std::make_unique<WorkloadAttestation>(
        io_.get_executor(), std::move(attestors), WorkloadAttestation::Options{});
    server_.entries.emplace("web", MakeEntry("web", "unix:uid:1"));
    identities_ = std::make_unique<IdentityService>(
        io_.get_executor(),
        pool_,
        server_,
        server_clock_,
        IdentityService::Options{.trust_domain = *TrustDomain::Parse("example.org")},
        [](SharedBundle) {});
    status_.sync_error = "starting";
    api_ = std::make_unique<CredentialApi>(
        *attestation_, *identities_, Make(), [this] { return status_; });
  }
  ~CredentialApiTest() override {
    RunTask(io_, identities_->Stop());
    RunTask(io_, attestation_->Stop());
  }

  void Sync() {
    identities_->Start();
    WaitUntil([&] { return identities_->store().synced(); });
  }

  using Method = Task<h2::UnaryReply> (CredentialApi::*)(std::shared_ptr<h2::ServerCall>,
                                                         std::string);
  h2::UnaryReply Ask(Method method, const google::protobuf::MessageLite& request) {
    return RunTask(io_,
                   (*api_.*method)(std::make_shared<FakeCall>(""), request.SerializeAsString()));
  }
  h2::UnaryReply List() {
    return Ask(&CredentialApi::ListDestinations, credential::v1::ListDestinationsRequest());
  }
  h2::UnaryReply CheckOf(const std::string& destination) {
    credential::v1::CheckDestinationRequest request;
    request.set_destination(destination);
    return Ask(&CredentialApi::CheckDestination, request);
  }
  h2::UnaryReply GetKv() {
    credential::v1::GetCredentialRequest request;
    request.set_destination("kv");
    return Ask(&CredentialApi::GetCredential, request);
  }

  asio::thread_pool pool_{1};
  FakeClock server_clock_{SystemClock().Now()};
  FakeServerClient server_{server_clock_};
  int asked_ = 0;
  AgentStatus status_;
  std::unique_ptr<WorkloadAttestation> attestation_;
  std::unique_ptr<IdentityService> identities_;
  std::unique_ptr<CredentialApi> api_;
};

TEST_F(CredentialApiTest, BeforeTheFirstSyncNobodyIsToldThatTheyMayHaveNothing) {
  for (const h2::UnaryReply& reply : {List(), GetKv(), CheckOf("kv")}) {
    EXPECT_EQ(reply.status.code, Code::kUnavailable);
    EXPECT_THAT(reply.status.message, HasSubstr("starting"));
  }
}

TEST_F(CredentialApiTest, ListsWhatTheCallersGrantsReach) {
  Sync();
  const h2::UnaryReply reply = List();
  ASSERT_EQ(reply.status.code, Code::kOk) << reply.status.message;
  const auto list = ParseAs<credential::v1::ListDestinationsResponse>(reply.message);
  ASSERT_EQ(list.destinations_size(), 1);
  EXPECT_EQ(list.destinations(0).name(), "kv");
  EXPECT_EQ(list.destinations(0).grant(), "web-to-kv");
  EXPECT_EQ(list.destinations(0).spiffe_id(), "spiffe://example.org/web");
}

TEST_F(CredentialApiTest, HandsOutACredential) {
  Sync();
  const h2::UnaryReply reply = GetKv();
  ASSERT_EQ(reply.status.code, Code::kOk) << reply.status.message;
  const auto answer = ParseAs<credential::v1::GetCredentialResponse>(reply.message);
  EXPECT_EQ(answer.fields().at("token"), "secret-1");
  EXPECT_EQ(answer.spiffe_id(), "spiffe://example.org/web");
}

TEST_F(CredentialApiTest, ACheckTellsWhatTheDestinationNeedsAndAsksNobody) {
  Sync();
  const h2::UnaryReply reply = CheckOf("kv");
  ASSERT_EQ(reply.status.code, Code::kOk) << reply.status.message;
  const auto facts = ParseAs<credential::v1::CheckDestinationResponse>(reply.message);
  EXPECT_TRUE(facts.found());
  EXPECT_FALSE(facts.has_refusal());
  EXPECT_THAT(facts.spiffe_ids(), testing::ElementsAre("spiffe://example.org/web"));
  EXPECT_EQ(facts.grant(), "web-to-kv");
  EXPECT_EQ(facts.spiffe_id(), "spiffe://example.org/web");
  EXPECT_THAT(facts.audience(), testing::ElementsAre("vendor"));
  EXPECT_EQ(facts.max_svid_bytes(), 100U);
  EXPECT_EQ(facts.max_svid_lifetime_seconds(), 300);
  EXPECT_EQ(kv_->exchanges, 0);
}

TEST_F(CredentialApiTest, ACheckSaysWhatIsMissingAndNothingElse) {
  resources_.grants.clear();
  Reload();
  Sync();
  const auto ungranted = ParseAs<credential::v1::CheckDestinationResponse>(CheckOf("kv").message);
  EXPECT_TRUE(ungranted.found());
  EXPECT_THAT(ungranted.refusal().fact(), HasSubstr("no grant gives \"kv\""));
  EXPECT_THAT(ungranted.refusal().fix(), HasSubstr("add a Grant"));
  EXPECT_THAT(ungranted.audience(), testing::IsEmpty());
  EXPECT_EQ(ungranted.origin(), "");
  const auto unknown = ParseAs<credential::v1::CheckDestinationResponse>(CheckOf("nope").message);
  EXPECT_FALSE(unknown.found());
  EXPECT_EQ(CheckOf("").status.code, Code::kInvalidArgument);
}

TEST_F(CredentialApiTest, StatusNamesTheAssuranceOfThisKernel) {
  for (const Assurance assurance : {Assurance::kOpenedByPid, Assurance::kPinned}) {
    status_.assurance = assurance;
    const h2::UnaryReply reply = Ask(&CredentialApi::GetStatus, credential::v1::GetStatusRequest());
    ASSERT_EQ(reply.status.code, Code::kOk);
    EXPECT_EQ(ParseAs<credential::v1::GetStatusResponse>(reply.message).assurance(),
              AssuranceName(assurance));
  }
  EXPECT_EQ(asked_, 0) << "status is for everybody";
}

}  // namespace
}  // namespace credence
