#include "agent/cli/private_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>

#include "base/core/file.h"
#include "base/core/testing/result_matchers.h"

namespace credence {
namespace {

mode_t ModeOf(const std::string& path) {
  struct stat info{};
  EXPECT_EQ(lstat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777;
}

TEST(PrivateFolderTest, IsOursAloneAndGoesWithAllItHolds) {
  std::string path;
  {
    const auto folder = PrivateFolder::Create();
    ASSERT_THAT(folder, IsOk());
    path = folder->path();
    EXPECT_EQ(ModeOf(path), 0700U);
    ASSERT_THAT(folder->Write("claude/credentials/credence.json", "secret", 0600), IsOk());
    EXPECT_EQ(ModeOf(path + "/claude"), 0700U);
    EXPECT_EQ(ModeOf(path + "/claude/credentials/credence.json"), 0600U);
    EXPECT_THAT(ReadFile(path + "/claude/credentials/credence.json", 100), IsOkAndHolds("secret"));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(PrivateFolderTest, ReplacesAFileInOneStep) {
  const auto folder = PrivateFolder::Create();
  ASSERT_THAT(folder, IsOk());
  ASSERT_THAT(folder->Write("a", "old", 0600), IsOk());
  std::ifstream reader(folder->path() + "/a");
  ASSERT_THAT(folder->Write("a", "new content", 0644), IsOk());
  std::string seen;
  std::getline(reader, seen);
  EXPECT_EQ(seen, "old") << "a reader that had it open keeps the old file";
  EXPECT_THAT(ReadFile(folder->path() + "/a", 100), IsOkAndHolds("new content"));
  EXPECT_EQ(ModeOf(folder->path() + "/a"), 0644U);
}

TEST(PrivateFolderTest, RefusesPathsThatLeadOutside) {
  const auto folder = PrivateFolder::Create();
  ASSERT_THAT(folder, IsOk());
  for (const char* path : {"", "/etc/x", "../x", "a/../../x"}) {
    EXPECT_THAT(folder->Write(path, "x", 0600), FailsWithCode(Code::kInvalidArgument)) << path;
  }
}

}  // namespace
}  // namespace credence
