#include "base/process/proc_status.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string Status(const std::string& name, const std::string& groups) {
  return "Name:\t" + name +
         "\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t42\nUid:\t1000\t1001\t1002\t1003\n"
         "Gid:\t2000\t2001\t2002\t2003\nFDSize:\t256\nGroups:\t" +
         groups + " \nNStgid:\t42\n";
}

TEST(ProcStatusTest, TakesTheEffectiveIds) {
  const auto status = ParseProcStatus(Status("web", "5 6 4294967294"));
  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(status->effective_uid, 1001U);
  EXPECT_EQ(status->effective_gid, 2001U);
  EXPECT_THAT(status->supplementary_gids, ElementsAre(5U, 6U, 4294967294U));
}

TEST(ProcStatusTest, NoSupplementaryGroupsIsAnEmptyList) {
  const auto status = ParseProcStatus(Status("web", ""));
  ASSERT_THAT(status, IsOk());
  EXPECT_THAT(status->supplementary_gids, IsEmpty());
}

TEST(ProcStatusTest, AProcessNameCannotForgeALine) {
  // The kernel writes a newline in a name as backslash n.
  const auto status = ParseProcStatus(Status("x\\nUid:\t0\t0\t0\t0", "5"));
  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(status->effective_uid, 1001U);
}

TEST(ProcStatusTest, OddLinesAreRefused) {
  EXPECT_THAT(ParseProcStatus(""), FailsWith(Code::kInternal, HasSubstr("Uid")));
  EXPECT_THAT(ParseProcStatus("Name:\ta\nUid:\t1\t2\t3\nGid:\t1\t1\t1\t1\nGroups:\t\n"),
              FailsWith(Code::kInternal, HasSubstr("Uid")));
  EXPECT_THAT(ParseProcStatus("Name:\ta\nUid:\t1\t2\t3\t4\nGid:\t1\tx\t1\t1\nGroups:\t\n"),
              FailsWith(Code::kInternal, HasSubstr("Gid")));
  EXPECT_THAT(ParseProcStatus("Name:\ta\nUid:\t1\t2\t3\t4\nGid:\t1\t1\t1\t1\n"),
              FailsWith(Code::kInternal, HasSubstr("Groups")));
  EXPECT_THAT(
      ParseProcStatus("Name:\ta\nUid:\t1\t2\t3\t4\nGid:\t1\t1\t1\t1\nGroups:\t99999999999\n"),
      FailsWith(Code::kInternal, HasSubstr("Groups")));
}

}  // namespace
}  // namespace credence
