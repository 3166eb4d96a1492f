#include "agent/exchange/policy.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/exchange/testing/fakes.h"

namespace credence {
namespace {

using std::chrono::minutes;
using testing::HasSubstr;
using testing::Not;

const WallTime kNow = FromUnixSeconds(1'800'000'000);

/// One destination "kv" with one grant for /web, uid 1000, pinned.
class PolicyTest : public testing::Test {
 protected:
  PolicyTest() {
    resources_.destinations.push_back(
        FakeDestinationResource("kv", std::make_shared<FakeDestination>()));
    GrantResource grant = FakeGrant("web-to-kv", "spiffe://example.org/web", "kv");
    grant.selectors = SelectorSet({Selector{"unix", "uid:1000"}});
    grant.assurance = Assurance::kPinned;
    grant.origin = {"/etc/credence/kv.yaml", 12};
    resources_.grants.push_back(grant);
    query_.identities.push_back({*SpiffeId::Parse("spiffe://example.org/web"), "entry-1"});
    query_.selectors = SelectorSet({Selector{"unix", "uid:1000"}, Selector{"unix", "gid:1000"}});
    query_.assurance = Assurance::kPinned;
    query_.uid = 1000;
    query_.destination = "kv";
  }

  Decision DecideIt() {
    return Decide(resources_, query_, {.now = kNow, .agent_id = "spiffe://example.org/agent"});
  }
  GrantResource& grant() { return resources_.grants.front(); }

  Resources resources_;
  PolicyQuery query_;
};

TEST_F(PolicyTest, AGrantThatFitsAllows) {
  const Decision decision = DecideIt();
  ASSERT_TRUE(decision.allowed);
  EXPECT_EQ(decision.allowed->grant->name, "web-to-kv");
  EXPECT_EQ(decision.allowed->destination->name, "kv");
  EXPECT_EQ(decision.allowed->identity.entry_id, "entry-1");
  EXPECT_FALSE(decision.allowed->max_ttl);
}

TEST_F(PolicyTest, TheShorterLimitCounts) {
  grant().max_ttl = minutes(5);
  EXPECT_EQ(DecideIt().allowed->max_ttl, minutes(5));
  resources_.destinations.front().max_ttl = minutes(3);
  EXPECT_EQ(DecideIt().allowed->max_ttl, minutes(3));
  grant().max_ttl.reset();
  EXPECT_EQ(DecideIt().allowed->max_ttl, minutes(3));
}

TEST_F(PolicyTest, WithoutGrantsNothingIsAllowed) {
  resources_.grants.clear();
  const Decision decision = DecideIt();
  ASSERT_FALSE(decision.allowed);
  EXPECT_EQ(decision.refusal.code, Code::kPermissionDenied);
  EXPECT_THAT(decision.refusal.reason,
              HasSubstr("no grant gives \"kv\" to spiffe://example.org/web"));
  EXPECT_THAT(decision.refusal.fix, HasSubstr("spec.subject.spiffe_id: spiffe://example.org/web"));
}

TEST_F(PolicyTest, AnUnknownDestinationIsNotFound) {
  query_.destination = "nowhere\n";
  const Decision decision = DecideIt();
  ASSERT_FALSE(decision.allowed);
  EXPECT_EQ(decision.refusal.code, Code::kNotFound);
  EXPECT_EQ(decision.refusal.reason, "there is no destination \"nowhere\\x0a\"");
}

TEST_F(PolicyTest, AProcessWithoutIdentityIsToldTheEntryItNeeds) {
  query_.identities.clear();
  const Decision decision = DecideIt();
  ASSERT_FALSE(decision.allowed);
  EXPECT_EQ(decision.refusal.code, Code::kPermissionDenied);
  EXPECT_EQ(decision.refusal.fix,
            "spire-server entry create -parentID spiffe://example.org/agent -spiffeID "
            "spiffe://example.org/web "
            "-selector unix:uid:1000");
  EXPECT_THAT(decision.refusal.audit_fix, Not(HasSubstr("uid:1000")));
  EXPECT_THAT(
      decision.refusal.audit_fix,
      testing::EndsWith("-selector " + RedactSelector(Selector{"unix", "uid:1000"}).ToString()));
}

TEST_F(PolicyTest, UnderATrustAuthorityOfOursTheCommandIsOurs) {
  query_.identities.clear();
  const auto decision =
      Decide(resources_,
             query_,
             {.now = kNow, .agent_id = "spiffe://example.org/agent", .own_authority = true});
  EXPECT_THAT(decision.refusal.fix, testing::StartsWith("credence entry create -spiffeID "));
}

TEST_F(PolicyTest, AnIdentityThatTheProcessLacksIsNamed) {
  query_.spiffe_id = *SpiffeId::Parse("spiffe://example.org/db");
  const Decision decision = DecideIt();
  ASSERT_FALSE(decision.allowed);
  EXPECT_THAT(
      decision.refusal.reason,
      HasSubstr("this process is not spiffe://example.org/db; it is spiffe://example.org/web"));
}

TEST_F(PolicyTest, AMissingSelectorIsSetAgainstWhatTheProcessHas) {
  query_.selectors = SelectorSet({Selector{"unix", "uid:1001"}, Selector{"unix", "gid:1000"}});
  const Decision decision = DecideIt();
  ASSERT_FALSE(decision.allowed);
  EXPECT_EQ(decision.refusal.code, Code::kPermissionDenied);
  EXPECT_EQ(decision.refusal.grant, "web-to-kv");
  EXPECT_EQ(
      decision.refusal.reason,
      "grant web-to-kv does not fit: it wants unix:uid:1000 while this process has unix:uid:1001");
  EXPECT_THAT(decision.refusal.fix, HasSubstr("grant web-to-kv (/etc/credence/kv.yaml:12)"));
}

TEST_F(PolicyTest, TheAuditTextHidesSelectors) {
  query_.selectors = SelectorSet({Selector{"unix", "uid:1001"}});
  const PolicyRefusal refusal = DecideIt().refusal;
  EXPECT_THAT(refusal.audit_reason, Not(HasSubstr("uid:100")));
  EXPECT_THAT(refusal.audit_reason,
              HasSubstr(RedactSelector(Selector{"unix", "uid:1001"}).ToString()));
  EXPECT_THAT(refusal.audit_fix, Not(HasSubstr("uid:100")));
}

TEST_F(PolicyTest, TheClosestCounterpartIsShown) {
  grant().selectors = SelectorSet({Selector{"k8s", "pod-label:app:web"}});
  query_.selectors =
      SelectorSet({Selector{"k8s", "pod-label:app:db"}, Selector{"k8s", "pod-label:tier:a"}});
  EXPECT_THAT(DecideIt().refusal.reason, testing::EndsWith("has k8s:pod-label:app:db"));
  query_.selectors = SelectorSet({Selector{"unix", "uid:1"}});
  EXPECT_THAT(DecideIt().refusal.reason, testing::EndsWith("has no k8s:pod-label selector"));
}

TEST_F(PolicyTest, TooLittleAssuranceIsRefused) {
  query_.assurance = Assurance::kOpenedByPid;
  const PolicyRefusal refusal = DecideIt().refusal;
  EXPECT_THAT(refusal.reason,
              HasSubstr("it wants assurance pinned while this process has opened_by_pid"));
  EXPECT_THAT(refusal.fix, HasSubstr("6.5"));
  grant().assurance = Assurance::kOpenedByPid;
  EXPECT_TRUE(DecideIt().allowed);
}

TEST_F(PolicyTest, AnExpiredGrantSaysWhen) {
  grant().expires = kNow;
  const PolicyRefusal refusal = DecideIt().refusal;
  EXPECT_THAT(refusal.reason, HasSubstr("it expired on 2027-01-15T08:00:00Z"));
  EXPECT_THAT(refusal.fix, HasSubstr("metadata.expires"));
  grant().expires = kNow + std::chrono::seconds(1);
  EXPECT_TRUE(DecideIt().allowed);
}

TEST_F(PolicyTest, TheNearestGrantIsExplained) {
  GrantResource far = grant();
  far.name = "a-far-one";
  far.selectors = SelectorSet({Selector{"unix", "uid:1"}, Selector{"unix", "gid:1"}});
  resources_.grants.insert(resources_.grants.begin(), far);
  query_.assurance = Assurance::kOpenedByPid;
  EXPECT_EQ(DecideIt().refusal.grant, "web-to-kv");
}

TEST_F(PolicyTest, AnUnknownParameterIsRefused) {
  query_.parameters = {{"role", "x"}};
  EXPECT_TRUE(DecideIt().allowed);
  query_.parameters = {{"url", "https://evil.example"}};
  const PolicyRefusal refusal = DecideIt().refusal;
  EXPECT_EQ(refusal.code, Code::kInvalidArgument);
  EXPECT_THAT(refusal.reason, HasSubstr("takes no parameter \"url\""));
  EXPECT_THAT(refusal.fix, HasSubstr("role"));
}

TEST_F(PolicyTest, ParametersAreNotExplainedToThoseWithoutAGrant) {
  resources_.grants.clear();
  query_.parameters = {{"url", "x"}};
  EXPECT_EQ(DecideIt().refusal.code, Code::kPermissionDenied);
}

TEST_F(PolicyTest, TheFirstIdentityWithAGrantWins) {
  query_.identities.insert(query_.identities.begin(),
                           {*SpiffeId::Parse("spiffe://example.org/other"), "entry-0"});
  const Decision decision = DecideIt();
  ASSERT_TRUE(decision.allowed);
  EXPECT_EQ(decision.allowed->identity.entry_id, "entry-1");
  query_.spiffe_id = *SpiffeId::Parse("spiffe://example.org/other");
  EXPECT_FALSE(DecideIt().allowed);
}

TEST_F(PolicyTest, ListsWhatIsAllowed) {
  resources_.destinations.push_back(
      FakeDestinationResource("other", std::make_shared<FakeDestination>()));
  const auto allowed = ListAllowed(resources_, query_, {kNow, ""});
  ASSERT_EQ(allowed.size(), 1U);
  EXPECT_EQ(allowed[0].destination->name, "kv");
  query_.identities.clear();
  EXPECT_TRUE(ListAllowed(resources_, query_, {kNow, ""}).empty());
}

TEST_F(PolicyTest, ACredentialStandsWhileAnUnexpiredGrantGivesItWithItsLimit) {
  const auto standing = [this](std::string_view destination,
                               std::optional<std::chrono::milliseconds> limit) {
    return StandingOf(resources_, "spiffe://example.org/web", destination, limit, kNow);
  };
  EXPECT_EQ(standing("kv", std::nullopt), Standing::kGranted);
  EXPECT_EQ(standing("kv", minutes(5)), Standing::kOtherLimit);
  EXPECT_EQ(standing("other", std::nullopt), Standing::kNone);
  EXPECT_EQ(StandingOf(resources_, "spiffe://example.org/db", "kv", std::nullopt, kNow),
            Standing::kNone);
  resources_.destinations.front().max_ttl = minutes(5);
  EXPECT_EQ(standing("kv", minutes(5)), Standing::kGranted);
  EXPECT_EQ(standing("kv", std::nullopt), Standing::kOtherLimit);
  grant().expires = kNow;
  EXPECT_EQ(standing("kv", minutes(5)), Standing::kNone);
}

TEST(RedactSelectorTest, KeepsTypeAndKindAndEquality) {
  const Selector redacted = RedactSelector(Selector{"unix", "uid:1000"});
  EXPECT_THAT(redacted.ToString(), testing::StartsWith("unix:uid:#"));
  EXPECT_EQ(redacted, RedactSelector(Selector{"unix", "uid:1000"}));
  EXPECT_NE(redacted, RedactSelector(Selector{"unix", "uid:1001"}));
  EXPECT_THAT(RedactSelector(Selector{"x", "secret"}).ToString(), Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace credence
