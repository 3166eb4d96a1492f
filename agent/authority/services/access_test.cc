#include "agent/authority/services/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/authority/keys/issuer.h"
#include "agent/authority/services/testing/authority_fixture.h"
#include "agent/authority/services/testing/entries.h"
#include "base/core/testing/result_matchers.h"
#include "base/svid/testing/test_authority.h"

#include "google/rpc/status.pb.h"

namespace credence {
namespace {

using authority::v1::AgentRecord;
using spire::api::types::PermissionDeniedDetails;

constexpr const char* kAgentId = "spiffe://example.org/spire/agent/join_token/a";

class AccessTest : public AuthorityTest {
 protected:
  SignedX509Svid SvidOf(const std::string& id) {
    return SignX509Svid(*state_->keys().value(),
                        X509SvidContent{SpiffeId::Parse(id).value(),
                                        TestKey(KeyType::kEcP256).PublicKey(),
                                        {},
                                        std::chrono::seconds(3600)},
                        clock_.Now())
        .value();
  }

  AgentRecord RecordWith(const std::string& serial) {
    AgentRecord record;
    record.set_id(kAgentId);
    record.set_serial(serial);
    record.set_not_after(ToUnixSeconds(clock_.Now()) + 3600);
    return record;
  }

  std::variant<ApiCaller, h2::Status> Ask(const std::vector<std::string>& chain) {
    return RunTask(io_, access_.RequireAgent(std::make_shared<FakeApiCall>(chain)));
  }

  /// UNKNOWN where the refusal has no reason; nothing where there is no refusal.
  std::optional<PermissionDeniedDetails::Reason> ReasonOf(const std::vector<std::string>& chain) {
    const auto answer = Ask(chain);
    const auto* refusal = std::get_if<h2::Status>(&answer);
    if (refusal == nullptr) {
      return std::nullopt;
    }
    EXPECT_EQ(refusal->code, Code::kPermissionDenied);
    google::rpc::Status status;
    PermissionDeniedDetails details;
    if (status.ParseFromString(refusal->details) && status.details_size() == 1) {
      EXPECT_TRUE(status.details(0).UnpackTo(&details));
    }
    return details.reason();
  }

  bool IsOperator(const FakeApiCall& call) { return !access_.RefusalOfOperator(call); }

  Access access_{*state_, clock_};
};

TEST_F(AccessTest, OnlyAnAgentsCertificateMakesAnAgent) {
  EXPECT_EQ(ReasonOf({}), PermissionDeniedDetails::UNKNOWN);
  EXPECT_EQ(ReasonOf(SvidOf("spiffe://example.org/web").certificates),
            PermissionDeniedDetails::UNKNOWN);
  EXPECT_EQ(ReasonOf(SvidOf(kAgentId).certificates), PermissionDeniedDetails::AGENT_NOT_ATTESTED);
  const auto local = RunTask(io_, access_.RequireAgent(std::make_shared<FakeApiCall>()));
  EXPECT_TRUE(std::holds_alternative<h2::Status>(local));
}

TEST_F(AccessTest, TheNewestCertificateCountsAndNoOther) {
  const auto svid = SvidOf(kAgentId);
  ASSERT_THAT(PutAgent(RecordWith(svid.serial)), IsOk());
  const auto answer = Ask(svid.certificates);
  ASSERT_TRUE(std::holds_alternative<ApiCaller>(answer));
  EXPECT_EQ(std::get<ApiCaller>(answer).id, kAgentId);
  EXPECT_EQ(ReasonOf(SvidOf(kAgentId).certificates), PermissionDeniedDetails::AGENT_NOT_ACTIVE);
}

TEST_F(AccessTest, TheFirstUseOfARenewedCertificateEndsTheOldOne) {
  const auto old_svid = SvidOf(kAgentId);
  const auto new_svid = SvidOf(kAgentId);
  AgentRecord record = RecordWith(old_svid.serial);
  record.set_new_serial(new_svid.serial);
  record.set_new_not_after(ToUnixSeconds(new_svid.not_after));
  ASSERT_THAT(PutAgent(record), IsOk());
  EXPECT_EQ(ReasonOf(old_svid.certificates), std::nullopt);
  EXPECT_EQ(ReasonOf(new_svid.certificates), std::nullopt);
  EXPECT_EQ(ReasonOf(old_svid.certificates), PermissionDeniedDetails::AGENT_NOT_ACTIVE);
  Reopen();
  EXPECT_EQ(state_->tables().agents.at(kAgentId).serial(), new_svid.serial);
}

TEST_F(AccessTest, ABannedAgentAndAnExpiredCertificateAreTold) {
  const auto svid = SvidOf(kAgentId);
  AgentRecord record = RecordWith(svid.serial);
  record.set_banned(true);
  ASSERT_THAT(PutAgent(record), IsOk());
  EXPECT_EQ(ReasonOf(svid.certificates), PermissionDeniedDetails::AGENT_BANNED);
  clock_.Advance(std::chrono::hours(2));
  EXPECT_EQ(ReasonOf(svid.certificates), PermissionDeniedDetails::AGENT_EXPIRED);
}

TEST_F(AccessTest, OperatorsAreOnThePrivateSocketOrHaveAnAdminEntry) {
  EXPECT_TRUE(IsOperator(FakeApiCall()));
  EXPECT_FALSE(IsOperator(FakeApiCall(std::vector<std::string>{})));
  const auto svid = SvidOf("spiffe://example.org/ops");
  EXPECT_FALSE(IsOperator(FakeApiCall(svid.certificates)));
  auto entry = std::make_shared<spire::api::types::Entry>(*EntryOf("x", "/ops", "/n"));
  entry->set_admin(true);
  ASSERT_THAT(PutEntry(entry), IsOk());
  EXPECT_TRUE(IsOperator(FakeApiCall(svid.certificates)));
  clock_.Advance(std::chrono::hours(2));
  EXPECT_FALSE(IsOperator(FakeApiCall(svid.certificates)));
}

TEST_F(AccessTest, AClientMayShowOnlyWhatThisAuthoritySigned) {
  EXPECT_TRUE(access_.AcceptsClient(SvidOf("spiffe://example.org/web").certificates));
  const TestAuthority foreign = TestAuthority::Root();
  EXPECT_FALSE(access_.AcceptsClient({foreign.Issue(
      TestKey(KeyType::kEcP256), CertificateSpec::Leaf("spiffe://example.org/web"))}));
  EXPECT_FALSE(access_.AcceptsClient(SvidOf("spiffe://other.test/web").certificates));
  EXPECT_FALSE(access_.AcceptsClient({"junk"}));
  EXPECT_FALSE(access_.AcceptsClient({}));
  const auto svid = SvidOf("spiffe://example.org/web");
  clock_.Advance(std::chrono::hours(2));
  EXPECT_FALSE(access_.AcceptsClient(svid.certificates));
}

}  // namespace
}  // namespace credence
