#include "agent/authority/services/agent_api.h"

#include <gmock/gmock.h>

#include "agent/authority/services/testing/authority_fixture.h"
#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

class AgentApiTest : public AuthorityTest {
 protected:
  Result<spire::api::types::JoinToken> Create(const std::string& token, const std::string& alias) {
    const auto id = std::make_shared<const SpiffeId>(SpiffeId::Parse(alias).value());
    return RunTask(io_, api_.CreateJoinToken(std::chrono::seconds(60), token, id));
  }
  /// What a node does by attesting.
  void UseUp(const std::string& token) {
    ASSERT_THAT(Write([token](const AuthorityTables&) -> Result<AuthorityState::Plan> {
                  return AuthorityState::Plan{
                      {{Table::kJoinTokens, token, std::nullopt}},
                      [token](AuthorityTables& changed) { changed.join_tokens.erase(token); }};
                }),
                IsOk());
  }

  Access access_{*state_, clock_};
  AgentApi api_{*state_, access_, pool_, clock_, {}};
};

TEST_F(AgentApiTest, ATokenOfAnEarlierNodeWithItsAliasMakesNoSecondEntry) {
  ASSERT_THAT(Create("t", "spiffe://example.org/node"), IsOk());
  EXPECT_THAT(Create("t", "spiffe://example.org/node"), FailsWithCode(Code::kAlreadyExists));
  UseUp("t");
  EXPECT_THAT(Create("t", "spiffe://example.org/node"), IsOk());
  EXPECT_EQ(state_->tables().entries.all().size(), 1U);
  UseUp("t");
  EXPECT_THAT(Create("t", "spiffe://example.org/other"), IsOk());
  EXPECT_EQ(state_->tables().entries.all().size(), 2U);
  Reopen();
  EXPECT_EQ(state_->tables().entries.all().size(), 2U);
}

}  // namespace
}  // namespace credence
