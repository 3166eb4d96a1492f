#include "agent/authority/services/matching.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/authority/services/agent_filters.h"

namespace credence {
namespace {

using spire::api::types::SelectorMatch;
using Texts = std::vector<std::string>;
using testing::ElementsAre;

TEST(MatchingTest, TheFourWaysToFit) {
  const Texts query{"a", "b"};
  EXPECT_TRUE(Fits(Texts{"b", "a", "a"}, query, SelectorMatch::MATCH_EXACT));
  EXPECT_FALSE(Fits(Texts{"a"}, query, SelectorMatch::MATCH_EXACT));
  EXPECT_TRUE(Fits(Texts{"a"}, query, SelectorMatch::MATCH_SUBSET));
  EXPECT_FALSE(Fits(Texts{}, query, SelectorMatch::MATCH_SUBSET));
  EXPECT_FALSE(Fits(Texts{"a", "c"}, query, SelectorMatch::MATCH_SUBSET));
  EXPECT_TRUE(Fits(Texts{"a", "b", "c"}, query, SelectorMatch::MATCH_SUPERSET));
  EXPECT_FALSE(Fits(Texts{"a", "c"}, query, SelectorMatch::MATCH_SUPERSET));
  EXPECT_TRUE(Fits(Texts{"c", "b"}, query, SelectorMatch::MATCH_ANY));
  EXPECT_FALSE(Fits(Texts{"c"}, query, SelectorMatch::MATCH_ANY));
  EXPECT_FALSE(Fits(Texts{"a", "b"}, query, 99));
}

TEST(MatchingTest, PagesCoverEverythingOnce) {
  std::map<std::string, int> items;
  for (int i = 0; i < 10; ++i) {
    items.emplace(std::string(1, static_cast<char>('a' + i)), i);
  }
  const auto even = [](int item) { return item % 2 == 0; };
  std::vector<int> taken;
  std::vector<std::string> tokens;
  std::string token;
  do {
    token = TakePage(items, token, 2, even, [&](int item) { taken.push_back(item); });
    tokens.push_back(token);
  } while (!token.empty());
  EXPECT_THAT(taken, ElementsAre(0, 2, 4, 6, 8));
  EXPECT_THAT(tokens, ElementsAre("c", "g", ""));
}

TEST(AgentFiltersTest, EachFilterKeepsWhatFits) {
  authority::v1::AgentRecord record;
  record.set_id("spiffe://example.org/spire/agent/join_token/a");
  record.set_attestation_type("join_token");
  record.set_not_after(1'700'000'000);
  spire::api::server::agent::v1::ListAgentsRequest::Filter filter;
  EXPECT_TRUE(PassesFilter(record, filter));
  filter.set_by_attestation_type("x509pop");
  EXPECT_FALSE(PassesFilter(record, filter));
  filter.set_by_attestation_type("join_token");
  filter.mutable_by_banned()->set_value(false);
  filter.mutable_by_can_reattest()->set_value(false);
  EXPECT_TRUE(PassesFilter(record, filter));
  filter.mutable_by_banned()->set_value(true);
  EXPECT_FALSE(PassesFilter(record, filter));
  filter.clear_by_banned();
  // 2023-11-14 22:13:20 UTC, written in another zone.
  filter.set_by_expires_before("2023-11-15 00:13:20 +0200 +02");
  EXPECT_FALSE(PassesFilter(record, filter));
  filter.set_by_expires_before("2023-11-15 00:13:21 +0200 +02");
  EXPECT_TRUE(PassesFilter(record, filter));
  filter.set_by_expires_before("soon");
  EXPECT_TRUE(PassesFilter(record, filter));
}

}  // namespace
}  // namespace credence
