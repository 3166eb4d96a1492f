#include <string>

#include <gmock/gmock.h>

#include "agent/cli/testing/run_command.h"

namespace credence {
namespace {

using testing::HasSubstr;

TEST(CommandAuditTest, AFileThatIsNotThereIsAFailureAndNoDenial) {
  const auto result = RunCommand({"audit", "--file", "/none/audit.jsonl"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("/none/audit.jsonl: no such file or directory"));
}

TEST(CommandAuditTest, AFolderInItsPlaceIsAFailure) {
  EXPECT_EQ(RunCommand({"audit", "--file", "/"}).exit_code, 1);
}

}  // namespace
}  // namespace credence
