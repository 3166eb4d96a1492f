#include "agent/cli/single_dash.h"

#include <gmock/gmock.h>

namespace credence {
namespace {

using testing::ElementsAre;

TEST(SingleDashTest, GivesSpiresFlagsTheirSecondDash) {
  EXPECT_THAT(WithDoubleDashes({"run", "-config", "a.conf", "-logLevel=DEBUG", "--dataDir", "d"}),
              ElementsAre("run", "--config", "a.conf", "--logLevel=DEBUG", "--dataDir", "d"));
  EXPECT_THAT(WithDoubleDashes({"version", "-output", "json"}),
              ElementsAre("version", "--output", "json"));
  EXPECT_THAT(WithDoubleDashes({"check", "-expandEnv"}), ElementsAre("check", "--expandEnv"));
  EXPECT_THAT(WithDoubleDashes({"entry", "create", "-spiffeID", "spiffe://a/b", "-data", "-"}),
              ElementsAre("entry", "create", "--spiffeID", "spiffe://a/b", "--data", "-"));
  EXPECT_THAT(WithDoubleDashes({"entry", "create", "-x509SVIDTTL", "-5"}),
              ElementsAre("entry", "create", "--x509SVIDTTL", "-5"));
}

TEST(SingleDashTest, LeavesShortFlagsAndTheCommandOfExecAlone) {
  EXPECT_THAT(WithDoubleDashes({"run", "-h"}), ElementsAre("run", "-h"));
  EXPECT_THAT(WithDoubleDashes({"exec", "-dkv", "--", "ls", "-la"}),
              ElementsAre("exec", "-dkv", "--", "ls", "-la"));
  EXPECT_THAT(WithDoubleDashes({"exec", "-destination", "kv", "-destination=claude", "-output"}),
              ElementsAre("exec", "--destination", "kv", "--destination=claude", "--output"));
  EXPECT_THAT(WithDoubleDashes({"get", "-output", "env", "--", "-name"}),
              ElementsAre("get", "--output", "env", "--", "-name"));
  EXPECT_THAT(WithDoubleDashes({}), ElementsAre());
}

}  // namespace
}  // namespace credence
