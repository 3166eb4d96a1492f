#include <string>
#include <vector>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <gmock/gmock.h>

#include "agent/cli/authority/wire_types.h"
#include "agent/cli/testing/fake_authority.h"
#include "agent/cli/testing/run_command.h"

namespace credence {
namespace {

using testing::HasSubstr;

constexpr const char* kAgentId = "spiffe://example.org/spire/agent/join_token/t1";
constexpr const char* kAgentLines =
    "SPIFFE ID         : spiffe://example.org/spire/agent/join_token/t1\n"
    "Attestation type  : join_token\n"
    "Expiration time   : 2033-05-18 03:33:20 +0000 UTC\n"
    "Serial number     : 123\n"
    "Can re-attest     : false\n"
    "Agent version     : 1.15.3\n\n";

class CommandAgentTest : public testing::Test {
 protected:
  CommandResult Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"-socketPath", authority_.socket()});
    return RunCommand(arguments);
  }

  void AddAgent() {
    auto& agent = authority_.agent.agents.emplace_back();
    agent.mutable_id()->set_trust_domain("example.org");
    agent.mutable_id()->set_path("/spire/agent/join_token/t1");
    agent.set_attestation_type("join_token");
    agent.set_x509svid_expires_at(2000000000);
    agent.set_x509svid_serial_number("123");
    agent.set_agent_version("1.15.3");
  }

  FakeAuthority authority_;
};

TEST_F(CommandAgentTest, GenerateGivesATokenThatJoinsUnderAnAlias) {
  const auto made =
      Run({"token", "generate", "-spiffeID", "spiffe://example.org/node/a", "-ttl", "30"});
  EXPECT_EQ(made.exit_code, 0);
  EXPECT_EQ(made.out, "Token: a-token\n");
  EXPECT_EQ(authority_.agent.asked_token.ttl(), 30);
  EXPECT_EQ(TextOf(authority_.agent.asked_token.agent_id()), "spiffe://example.org/node/a");
}

TEST_F(CommandAgentTest, GenerateWithoutAnAliasWarns) {
  EXPECT_EQ(Run({"token", "generate"}).out, "Token: a-token\nWarning: Missing SPIFFE ID.\n");
  EXPECT_EQ(authority_.agent.asked_token.ttl(), 600);
  EXPECT_FALSE(authority_.agent.asked_token.has_agent_id());
  EXPECT_EQ(boost::json::parse(Run({"token", "generate", "-output", "json"}).out),
            boost::json::parse(R"({"value": "a-token", "expires_at": "2000000000"})"));
}

TEST_F(CommandAgentTest, GenerateRefusesWhatNoServerTakes) {
  EXPECT_EQ(Run({"token", "generate", "-ttl", "0"}).exit_code, 2);
  EXPECT_EQ(Run({"token", "generate", "-spiffeID", "node"}).exit_code, 2);
}

TEST_F(CommandAgentTest, ListPrintsAsSpireServerDoes) {
  EXPECT_EQ(Run({"agent", "list"}).out, "No attested agents found\n");
  EXPECT_EQ(Run({"agent", "count"}).out, "0 attested agents\n");
  AddAgent();
  EXPECT_EQ(Run({"agent", "list"}).out, std::string("Found 1 attested agent:\n\n") + kAgentLines);
  EXPECT_EQ(Run({"agent", "count"}).out, "1 attested agent\n");
  EXPECT_EQ(boost::json::parse(Run({"agent", "list", "-output", "json"}).out),
            boost::json::parse(R"({"next_page_token": "", "agents": [{
                "agent_version": "1.15.3", "attestation_type": "join_token", "banned": false,
                "can_reattest": false, "selectors": [], "x509svid_expires_at": "2000000000",
                "id": {"path": "/spire/agent/join_token/t1", "trust_domain": "example.org"},
                "x509svid_serial_number": "123"}]})"));
}

TEST_F(CommandAgentTest, TheFiltersArrive) {
  Run({"agent",
       "list",
       "-banned",
       "false",
       "-canReattest",
       "true",
       "-selector",
       "x509pop:cn:a",
       "-matchSelectorsOn",
       "any",
       "-attestationType",
       "x509pop",
       "-expiresBefore",
       "2030-01-01 00:00:00 +0000 +00"});
  const auto filter = authority_.agent.listed.filter();
  EXPECT_TRUE(filter.has_by_banned());
  EXPECT_FALSE(filter.by_banned().value());
  EXPECT_TRUE(filter.by_can_reattest().value());
  EXPECT_EQ(filter.by_selector_match().match(), spire::api::types::SelectorMatch::MATCH_ANY);
  EXPECT_EQ(filter.by_attestation_type(), "x509pop");
  EXPECT_EQ(filter.by_expires_before(), "2030-01-01 00:00:00 +0000 +00");
  Run({"agent", "list"});
  EXPECT_EQ(authority_.agent.listed.filter().ByteSizeLong(), 0U);
  EXPECT_EQ(Run({"agent", "list", "-banned", "maybe"}).exit_code, 2);
  for (const char* time : {"nope", "2030-01-01", "2030-01-01 00:00:00 +0000 UTC", ""}) {
    EXPECT_EQ(Run({"agent", "list", "-expiresBefore", time}).exit_code, 2) << time;
  }
}

TEST_F(CommandAgentTest, ShowAddsTheSelectors) {
  AddAgent();
  auto& selector = *authority_.agent.agents[0].add_selectors();
  selector.set_type("x509pop");
  selector.set_value("cn:a");
  EXPECT_EQ(Run({"agent", "show", "-spiffeID", kAgentId}).out,
            std::string("Found an attested agent given its SPIFFE ID\n\n") + kAgentLines +
                "Selectors         : x509pop:cn:a\n");
}

TEST_F(CommandAgentTest, ABannedAgentStaysListedUntilItIsEvicted) {
  AddAgent();
  EXPECT_EQ(Run({"agent", "ban", "-spiffeID", kAgentId}).out, "Agent banned successfully\n");
  EXPECT_THAT(Run({"agent", "list"}).out, HasSubstr("Banned            : true\n"));
  const auto evicted = Run({"agent", "evict", "-spiffeID", kAgentId, "-output", "json"});
  EXPECT_EQ(evicted.out, "{}\n");
  EXPECT_TRUE(authority_.agent.agents.empty());
}

TEST_F(CommandAgentTest, AnAgentThatIsNotThereIsAFailureThatNamesIt) {
  for (const char* verb : {"show", "ban", "evict"}) {
    const auto result = Run({"agent", verb, "-spiffeID", kAgentId});
    EXPECT_EQ(result.exit_code, 1) << verb;
    EXPECT_EQ(result.err, std::string("credence: ") + kAgentId + ": agent not found\n") << verb;
    EXPECT_EQ(Run({"agent", verb}).exit_code, 2) << verb;
    EXPECT_EQ(Run({"agent", verb, "-spiffeID", "x"}).exit_code, 2) << verb;
  }
}

}  // namespace
}  // namespace credence
