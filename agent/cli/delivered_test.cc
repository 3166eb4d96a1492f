#include "agent/cli/delivered.h"

#include <gmock/gmock.h>

#include "base/core/clock.h"
#include "base/core/file.h"
#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;
using testing::Pair;

/// A credential with a token as variable VAR that ends `life` from now and should be asked for
/// again `refresh` from now.
std::shared_ptr<credential::v1::GetCredentialResponse> Handed(seconds life,
                                                              seconds refresh,
                                                              const std::string& token = "t") {
  const std::int64_t now = ToUnixSeconds(SystemClock().Now());
  auto made = std::make_shared<credential::v1::GetCredentialResponse>();
  made->set_expires_at(now + life.count());
  made->set_refresh_at(now + refresh.count());
  (*made->mutable_delivery()->mutable_env())["VAR"] = token;
  return made;
}

double SecondsLeft(const Delivered& delivered) {
  return std::chrono::duration<double>(delivered.Left()).count();
}

TEST(DeliveredTest, IsAskedForAgainWhenTheAgentSays) {
  EXPECT_THAT(SecondsLeft(Delivered("kv", Handed(seconds(600), seconds(300)))),
              AllOf(Ge(297), Le(300)));
}

TEST(DeliveredTest, IsAskedForLessAndLessWhileTheAgentHasNoNewerOne) {
  Delivered delivered("kv", Handed(seconds(600), seconds(-5)));
  EXPECT_LE(SecondsLeft(delivered), 1);
  for (int answers = 0; answers < 20; ++answers) {
    delivered.Renew(Handed(seconds(600) - seconds(answers), seconds(-5)));
  }
  EXPECT_THAT(SecondsLeft(delivered), AllOf(Ge(50), Le(66)));
  // One that is newer, and already due: at once, and from there on anew.
  delivered.Renew(Handed(seconds(700), seconds(-5)));
  EXPECT_LE(SecondsLeft(delivered), 1);
  delivered.Renew(Handed(seconds(699), seconds(-5)));
  EXPECT_THAT(SecondsLeft(delivered), AllOf(Ge(1.5), Le(2.2)));
}

TEST(DeliveredTest, FailuresPutTheNextQuestionOff) {
  Delivered delivered("kv", Handed(seconds(600), seconds(300)));
  const auto first = delivered.PutOff();
  EXPECT_GT(delivered.PutOff(), first);
  delivered.AskAgainSoon();
  EXPECT_LE(SecondsLeft(delivered), 1);
}

TEST(DeliveredTest, SaysOnceThatTheVariablesDiffer) {
  Delivered delivered("kv", Handed(seconds(10), seconds(5)));
  EXPECT_FALSE(delivered.Renew(Handed(seconds(20), seconds(5))));
  EXPECT_TRUE(delivered.Renew(Handed(seconds(30), seconds(5), "other")));
  EXPECT_FALSE(delivered.Renew(Handed(seconds(40), seconds(5), "third")));
}

TEST(DeliveredTest, FilesAndTheVariablesThatPointToThemFitTogether) {
  const auto folder = PrivateFolder::Create();
  ASSERT_THAT(folder, IsOk());
  const auto credential = Handed(seconds(10), seconds(5), "{{dir}}/a:{{dir}}/b");
  auto* file = credential->mutable_delivery()->add_files();
  file->set_path("sub/token");
  file->set_mode(0600);
  file->set_content("secret");
  std::vector<Delivered> all;
  all.emplace_back("kv", credential);
  ASSERT_THAT(WriteFiles(*folder, all[0]), IsOk());
  const std::string own = folder->path() + "/kv";
  EXPECT_THAT(ReadFile(own + "/sub/token", 100), IsOkAndHolds(std::string("secret")));
  const auto variables = VariablesOf(all, &*folder);
  ASSERT_THAT(variables, IsOk());
  EXPECT_THAT(variables->values, ElementsAre(Pair("VAR", own + "/a:" + own + "/b")));
}

TEST(DeliveredTest, TwoDestinationsCannotSetOneVariable) {
  std::vector<Delivered> all;
  all.emplace_back("one", Handed(seconds(10), seconds(5)));
  all.emplace_back("two", Handed(seconds(10), seconds(5)));
  EXPECT_THAT(VariablesOf(all, nullptr),
              FailsWith(Code::kInvalidArgument, HasSubstr("one and two both set VAR")));
}

}  // namespace
}  // namespace credence
